"""Kafka's own troubles."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..machine import eventually
from . import node
from .harness import Stand, fault
from .volumes import provisioned, tiny

LOG = "/var/lib/kafka/data/log"


def deployed(stand: Stand, settings: str = "") -> None:
    stand.well = settings
    stand.settings(settings)
    answer = stand.person.run("up", "kafka", timeout=300)
    assert answer.exit_code == 0, answer.stdout


def tool(stand: Stand, name: str, *arguments: str) -> str:
    return stand.person.kafka(name, *arguments, namespace=stand.namespace)


def restart(stand: Stand) -> None:
    before = stand.uid("kafka-0")
    stand.kubectl("delete", "pod", "kafka-0", "--wait=false")
    eventually(lambda: stand.uid("kafka-0") not in ("", before), 60)


@fault("credentials that are gone", "verify kafka", "credentials-missing", says="kafka-credentials")
def no_credentials(stand: Stand) -> Iterator[None]:
    stand.kubectl("delete", "secret", "kafka-credentials")
    yield


@fault(
    "a cluster id that is not the volume's",
    "verify kafka",
    "kafka-cluster-id",
    telling=True,
)
def cluster_id(stand: Stand) -> Iterator[None]:
    kept = stand.person.secret("kafka-credentials")["cluster-id"]

    def write(value: str) -> None:
        change = json.dumps({"stringData": {"cluster-id": value}})
        stand.kubectl("patch", "secret", "kafka-credentials", "-p", change)

    write("AAAAAAAAAAAAAAAAAAAAAA")
    yield
    write(kept)


@fault("topics with more partitions than a broker takes", "up kafka", "kafka-topic-refused")
def too_many_partitions(stand: Stand) -> Iterator[None]:
    wide = ", ".join(f'{{name = "learnflow.wide-{n}", partitions = 1000}}' for n in range(11))
    stand.settings(f"[kafka]\ntopics = [{wide}]\n")
    yield


@fault(
    "a setting of brokers that they do not know",
    "up kafka",
    "kafka-setting-refused",
    says="no setting message.max.byte",
)
def unknown_setting(stand: Stand) -> Iterator[None]:
    stand.settings('[kafka]\nconfig = { "message.max.byte" = 5 }\n')
    yield


@fault(
    "a setting of brokers with which they do not start",
    "up kafka",
    "kafka-setting-refused",
    sign="CrashLoopBackOff",
    says="message.max.bytes",
)
def unfit_setting(stand: Stand) -> Iterator[None]:
    stand.settings('[kafka]\nconfig = { "message.max.bytes" = "many" }\n')
    yield


@fault("a password that was changed in Kafka", "verify kafka", "kafka-password")
def password(stand: Stand) -> Iterator[None]:
    user = ("--entity-type", "users", "--entity-name", "learnflow")
    other = "SCRAM-SHA-512=[password=another]"
    tool(stand, "kafka-configs", "--alter", *user, "--add-config", other)
    yield


@fault("ACLs that were taken from the user", "verify kafka", "kafka-access-refused")
def acls(stand: Stand) -> Iterator[None]:
    tool(
        *(stand, "kafka-acls", "--remove", "--force", "--allow-principal", "User:learnflow"),
        *("--topic", "learnflow.", "--resource-pattern-type", "prefixed"),
    )
    yield


@fault("a broker's volume that ran full", "up kafka", "volume-full", sign="CrashLoopBackOff")
def disk_full(stand: Stand) -> Iterator[None]:
    with provisioned(stand, "data-kafka-0") as folder, tiny(folder, "48m"):
        deployed(stand)
        stand.exec("kafka-0", f"dd if=/dev/zero of={LOG}/../filler bs=1M || true")
        restart(stand)
        yield
        node.run("rm", str(folder / "filler"))
        deployed(stand)


@fault("a broker's log that it may not read", "up kafka", "kafka-storage", sign="CrashLoopBackOff")
def unreadable_log(stand: Stand) -> Iterator[None]:
    with provisioned(stand, "data-kafka-0") as folder:
        deployed(stand)
        log = folder / "log" / "learnflow.events-0"
        log.chmod(0)
        restart(stand)
        yield
        log.chmod(0o755)


# ---- three brokers

THREE = '[kafka]\nbrokers = 3\ncpu = "100m"\nmemory = "640Mi"\n'


@fault("one of three brokers hangs", "verify kafka", "kafka-brokers-missing", alone=True)
def one_hangs(stand: Stand) -> Iterator[None]:
    deployed(stand, THREE)
    stand.signal("kafka-2", "java", "STOP")
    describe = ("--describe", "--topic", "learnflow.events", "--under-replicated-partitions")
    # The controllers give a broker up after 9 s.
    eventually(lambda: "Partition" in tool(stand, "kafka-topics", *describe), 90)
    yield
    stand.signal("kafka-2", "java", "CONT")


@fault("two of three brokers hang", "verify kafka", "kafka-no-quorum", alone=True)
def two_hang(stand: Stand) -> Iterator[None]:
    deployed(stand, THREE)
    for pod in ("kafka-1", "kafka-2"):
        stand.signal(pod, "java", "STOP")
    yield
    for pod in ("kafka-1", "kafka-2"):
        stand.signal(pod, "java", "CONT")


def reassigned(stand: Stand, before: list[int], after: list[int]) -> Iterator[None]:
    """A partition gets replicas that never catch up: the move is allowed one byte a second."""
    topic = "learnflow.moving"
    replicas = ":".join(map(str, before))
    tool(stand, "kafka-topics", "--create", "--topic", topic, "--replica-assignment", replicas)
    size = ("--num-records", "2000", "--record-size", "1000", "--throughput", "-1")
    tool(stand, "kafka-producer-perf-test", "--topic", topic, *size)
    move = {"topic": topic, "partition": 0, "replicas": after}
    plan = json.dumps({"version": 1, "partitions": [move]})
    stand.exec("kafka-0", f"cat > /tmp/plan.json <<'EOF'\n{plan}\nEOF")
    execute = ("--reassignment-json-file", "/tmp/plan.json", "--execute", "--throttle")
    tool(stand, "kafka-reassign-partitions", *execute, "1")
    yield
    tool(stand, "kafka-reassign-partitions", *execute, "100000000", "--additional")
    describe = ("--describe", "--topic", topic, "--under-replicated-partitions")
    eventually(lambda: "Partition" not in tool(stand, "kafka-topics", *describe), 60)


@fault(
    "a partition with fewer copies than it should",
    "verify kafka",
    "kafka-under-replicated",
    alone=True,
)
def under_replicated(stand: Stand) -> Iterator[None]:
    deployed(stand, THREE)
    yield from reassigned(stand, [0, 1], [0, 1, 2])


@fault(
    "a partition with fewer copies in sync than the least",
    "verify kafka",
    "kafka-not-enough-replicas",
    alone=True,
)
def not_enough(stand: Stand) -> Iterator[None]:
    deployed(stand, THREE)
    yield from reassigned(stand, [0], [0, 1, 2])
