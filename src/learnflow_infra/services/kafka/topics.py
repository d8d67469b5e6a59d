"""The declared topics, made so in the running cluster; those that are not declared are left alone.

All is tried before anything is changed. What is declared of the brokers is in their files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.services import Access
from learnflow_infra.services.kafka.client import CREATE, Client
from learnflow_infra.services.kafka.settings import KafkaSettings, Topic

# What a reassignment sets for as long as it lasts.
_THROTTLED = ".replication.throttled."
# An operation and a value, none where a configuration goes back to the broker's default.
_Change = tuple[str, str | None]


def reconcile(access: Access, client: Client, admin: Any) -> list[str]:
    """Create missing topics, raise partitions, set configuration; says what it changed.

    Raises Failure(setting-fixed, kafka-topic-refused), and what `Client.doing` raises.
    """
    declared = access.settings.of(KafkaSettings).topics
    with client.doing("looking at its topics"):
        present = {each["name"]: each for each in admin.describe_topics()}
        known = [topic for topic in declared if topic.name in present]
        configured = _configured(admin, [topic.name for topic in known])
    missing = {t.name: _creation(t) for t in declared if t.name not in present}
    grown = {}
    for topic in known:
        there = len(present[topic.name]["partitions"])
        _require_possible(topic, present[topic.name]["partitions"])
        if there < topic.partitions:
            grown[topic.name] = topic.partitions
    altered = {
        topic.name: changes
        for topic in known
        if (changes := _changes(dict(topic.config), configured[topic.name]))
    }
    # Topics of a name and a number alone are worth no trial.
    tried = grown or altered or any(each["configs"] for each in missing.values())
    for trial in (True, False) if tried else (False,):
        with client.doing(CREATE):
            if missing:
                admin.create_topics(missing, validate_only=trial)
            if grown:
                admin.create_partitions(grown, validate_only=trial)
        with client.doing("configuring a topic"):
            _configure(admin, altered, trial)
    return [
        *(f"topic {name}" for name in missing),
        *(f"partitions of topic {name}" for name in grown),
        *(f"{key} of topic {name}" for name, changes in altered.items() for key in changes),
    ]


def require_known(access: Access, client: Client, admin: Any) -> None:
    """Raise Failure(kafka-setting-refused) for settings of the brokers that these do not know, and
    of which their log alone says so."""
    declared = access.settings.of(KafkaSettings).config
    if not declared:
        return
    from kafka.admin import ConfigResource, ConfigResourceType

    with client.doing("looking at its settings"):
        broker = ConfigResource(ConfigResourceType.BROKER, "0")
        found = admin.describe_configs([broker], config_filter="all")["broker"]["0"]
    # What no one reads is there as well, without a type.
    known = {key for key, entry in found.items() if entry.get("config_type") != "UNKNOWN"}
    if unknown := [key for key, _ in declared if key not in known]:
        message = f"the brokers have no setting {', '.join(unknown)}"[:300]
        raise Failure(finding("kafka-setting-refused", message, service="kafka"))


def _creation(topic: Topic) -> dict[str, Any]:
    """As kafka-python's `create_topics` takes it; -1 is the broker's default."""
    return {
        "num_partitions": topic.partitions,
        "replication_factor": topic.replication_factor or -1,
        "configs": dict(topic.config),
    }


def _require_possible(topic: Topic, partitions: Sequence[Mapping[str, Any]]) -> None:
    """Raise Failure for what Kafka does not change while the records are kept."""
    there = {"partitions": len(partitions), "replication_factor": topic.replication_factor}
    if topic.replication_factor and partitions:
        there["replication_factor"] = len(partitions[0]["replica_nodes"])
    for key, wanted, impossible in (
        ("partitions", topic.partitions, topic.partitions < there["partitions"]),
        (
            "replication_factor",
            topic.replication_factor,
            topic.replication_factor != there["replication_factor"],
        ),
    ):
        if impossible:
            message = (
                f"{key} of topic {topic.name} is {there[key]} in Kafka and {wanted} in settings"
            )
            remedy = (
                "Set it back. Else copy what is needed into a topic of another name, or delete the "
                "topic with its records, and run `learnflow-infra up`."
            )
            raise Failure(finding("setting-fixed", message, service="kafka", remedy=remedy))


def _configured(admin: Any, names: Sequence[str]) -> dict[str, dict[str, str]]:
    """What is set of each topic itself."""
    if not names:
        return {}
    from kafka.admin import ConfigResource, ConfigResourceType

    found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, n) for n in names])
    return {
        name: {
            key: str(entry["value"])
            for key, entry in entries.items()
            if entry["config_source"] == "DYNAMIC_TOPIC_CONFIG" and _THROTTLED not in key
        }
        for name, entries in found["topic"].items()
    }


def _changes(wanted: Mapping[str, str], there: Mapping[str, str]) -> dict[str, _Change]:
    set_: dict[str, _Change] = {
        key: ("SET", value) for key, value in wanted.items() if there.get(key) != value
    }
    return set_ | {key: ("DELETE", None) for key in there if key not in wanted}


def _configure(admin: Any, altered: Mapping[str, Mapping[str, _Change]], trial: bool) -> None:
    if not altered:
        return
    from kafka.admin import AlterConfigOp, ConfigResource, ConfigResourceType

    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC,
            name,
            {key: (AlterConfigOp[op], value) for key, (op, value) in changes.items()},
        )
        for name, changes in altered.items()
    ]
    answers = admin.alter_configs(
        resources, validate_only=trial, raise_on_unknown=False, incremental=True
    )
    for name, said in answers["topic"].items():
        if said != "OK":
            message = f"topic {name}: {said}"[:300]
            raise Failure(finding("kafka-topic-refused", message, service="kafka"))
