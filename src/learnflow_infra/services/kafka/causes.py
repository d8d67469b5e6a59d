"""What can go wrong with Kafka alone."""

from __future__ import annotations

from learnflow_infra.findings.causes import Cause, Exit

CAUSES = (
    Cause(
        "kafka-advertised-address",
        Exit.UNHEALTHY,
        "Kafka hands out an address that its clients cannot use.",
        "Run `learnflow-infra up`, which sets the listeners again.",
        heals=True,
    ),
    Cause(
        "kafka-brokers-missing",
        Exit.UNHEALTHY,
        "Not all brokers have joined the cluster.",
        "Read the missing broker's log with `kubectl logs`.",
        heals=True,
    ),
    Cause(
        "kafka-no-quorum",
        Exit.UNHEALTHY,
        "The controllers have no quorum, or do not answer.",
        "Read the brokers' logs with `kubectl logs`, and look whether they reach each other.",
        heals=True,
    ),
    Cause(
        "kafka-partitions-offline",
        Exit.UNHEALTHY,
        "Partitions have no leader: they can be neither written nor read.",
        "Bring the brokers back that hold them; read their logs with `kubectl logs`.",
        heals=True,
        untested="the broker that is missing then is told first.",
    ),
    Cause(
        "kafka-not-enough-replicas",
        Exit.UNHEALTHY,
        "Fewer replicas are in sync than min.insync.replicas: nothing can be written.",
        "Bring the missing brokers back; read their logs with `kubectl logs`.",
        heals=True,
    ),
    Cause(
        "kafka-under-replicated",
        Exit.UNHEALTHY,
        "Partitions have fewer copies in sync than they should.",
        "Wait for the brokers to catch up; else read the lagging broker's log with `kubectl logs`.",
        heals=True,
    ),
    Cause(
        "kafka-cluster-id",
        Exit.UNHEALTHY,
        "The volumes' cluster id is not the one in the Secret: a broker with a new volume "
        "could not join.",
        "Write the volumes' id into the Secret kafka-credentials; or, if the data was purged, "
        "remove it with `learnflow-infra down --purge` and what that then names as left.",
        log=r"Inconsistent_?ClusterId|Invalid cluster\.id|INCONSISTENT_CLUSTER_ID",
    ),
    Cause(
        "kafka-topic-refused",
        Exit.UNHEALTHY,
        "Kafka refuses to make a topic as it is declared.",
        "Correct kafka.topics in infra.toml, or what the broker's answer names.",
    ),
    Cause(
        "kafka-setting-refused",
        Exit.UNHEALTHY,
        "The brokers do not take a setting as it is declared.",
        "Correct config under [kafka] in infra.toml.",
        log=r"ConfigException: ",
    ),
    Cause(
        "kafka-password",
        Exit.UNHEALTHY,
        "Kafka does not know the user, or not by the password of its Secret.",
        "Run `learnflow-infra up`, which makes every user's password so.",
    ),
    Cause(
        "kafka-node-password",
        Exit.UNHEALTHY,
        "The nodes run with another password of their own than the Secret kafka-credentials holds.",
        "Start the nodes again, all at once.",
    ),
    Cause(
        "kafka-access-refused",
        Exit.UNHEALTHY,
        "A listener does not take logins as it should, or the user lacks the ACL for what it "
        "wants to do.",
        "Run `learnflow-infra up`, which sets listeners, users and ACLs again.",
    ),
    Cause(
        "kafka-storage",
        Exit.UNHEALTHY,
        "A broker cannot use its log folder: it is full, damaged or offline.",
        "Look at the volume, and read the broker's log with `kubectl logs`.",
        log="KafkaStorageException|log dir(ectorie)?s? .*(failed|offline)",
    ),
)
