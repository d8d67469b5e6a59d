"""Topics as the settings declare them, against an administrator's client that only remembers."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from learnflow_infra import settings
from learnflow_infra.findings.failures import Failure
from learnflow_infra.services.kafka.settings import KafkaSettings
from learnflow_infra.services.kafka.topics import reconcile
from learnflow_infra.services.registry import sections

Tried = list[tuple[str, bool, Any]]


class Admin:
    """What kafka-python's is asked for; `there` is each topic's partitions and configuration."""

    def __init__(self, there: Mapping[str, tuple[int, Mapping[str, str]]], says: str) -> None:
        self.there, self.says = there, says
        self.asked: Tried = []

    def describe_topics(self) -> list[dict[str, Any]]:
        one = {"replica_nodes": [0]}
        return [{"name": name, "partitions": [one] * n} for name, (n, _) in self.there.items()]

    def describe_configs(self, resources: list[Any]) -> dict[str, Any]:
        def entry(value: str) -> dict[str, str]:
            return {"value": value, "config_source": "DYNAMIC_TOPIC_CONFIG"}

        return {
            "topic": {
                each.name: {
                    **{key: entry(value) for key, value in self.there[each.name][1].items()},
                    "segment.bytes": {"value": "1", "config_source": "STATIC_BROKER_CONFIG"},
                }
                for each in resources
            }
        }

    def create_topics(self, topics: Any, *, validate_only: bool) -> None:
        self.asked.append(("create", validate_only, topics))

    def create_partitions(self, topics: Any, *, validate_only: bool) -> None:
        self.asked.append(("grow", validate_only, topics))

    def alter_configs(self, resources: list[Any], *, validate_only: bool, **_: bool) -> Any:
        asked = {
            each.name: {key: (op.name, value) for key, (op, value) in each.configs.items()}
            for each in resources
        }
        self.asked.append(("alter", validate_only, asked))
        return {"topic": {each.name: self.says for each in resources}}


def made(
    declared: str, there: Mapping[str, tuple[int, Mapping[str, str]]], says: str = "OK"
) -> tuple[list[str], Tried]:
    """What is said to be changed, and what was asked for."""
    kafka = settings.parse(tomllib.loads(f"[kafka]\ntopics = {declared}"), sections)
    admin = Admin(there, says)

    @contextlib.contextmanager
    def doing(_: str) -> Iterator[None]:
        yield

    access = SimpleNamespace(settings=kafka)
    client = SimpleNamespace(doing=doing)
    return reconcile(cast("Any", access), cast("Any", client), admin), admin.asked


def test_what_is_as_it_should_be_is_not_asked_for() -> None:
    declared = "[{name='a', partitions=2, config={retention.ms=5}}]"
    assert made(declared, {"a": (2, {"retention.ms": "5"}), "other": (1, {})}) == ([], [])


def test_a_topic_of_a_name_alone_is_made_at_once() -> None:
    said, asked = made("[{name='a'}]", {})
    assert said == ["topic a"]
    assert [(kind, trial) for kind, trial, _ in asked] == [("create", False)]


def test_what_is_missing_is_tried_before_it_is_made() -> None:
    said, asked = made("[{name='a', config={'cleanup.policy'='compact'}}]", {})
    topic = {
        "num_partitions": 3,
        "replication_factor": -1,
        "configs": {"cleanup.policy": "compact"},
    }
    assert said == ["topic a"]
    assert asked == [("create", True, {"a": topic}), ("create", False, {"a": topic})]


def test_all_is_tried_before_anything_is_changed() -> None:
    declared = "[{name='a', partitions=4}, {name='b', config={x=true}}, {name='c'}]"
    said, asked = made(declared, {"a": (2, {}), "b": (3, {"y": "1"})})
    assert [(kind, trial) for kind, trial, _ in asked] == [
        *(("create", True), ("grow", True), ("alter", True)),
        *(("create", False), ("grow", False), ("alter", False)),
    ]
    assert asked[-2][2] == {"a": 4}
    assert asked[-1][2] == {"b": {"x": ("SET", "true"), "y": ("DELETE", None)}}
    assert said == ["topic c", "partitions of topic a", "x of topic b", "y of topic b"]


def test_what_a_reassignment_sets_is_left_to_it() -> None:
    there = {"leader.replication.throttled.replicas": "*"}
    assert made("[{name='a'}]", {"a": (3, there)}) == ([], [])


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ("[{name='a', partitions=2}]", "partitions of topic a is 3 in Kafka and 2 in settings"),
        (
            "[{name='a', replication_factor=3}]",
            "replication_factor of topic a is 1 in Kafka and 3 in settings",
        ),
    ],
)
def test_what_kafka_cannot_change_is_refused(declared: str, says: str) -> None:
    with pytest.raises(Failure) as raised:
        made(f"{declared}\nbrokers = 3", {"a": (3, {})})
    (found,) = raised.value.findings
    assert (found.code, found.message) == ("setting-fixed", says)


def test_a_configuration_that_the_broker_refuses_is_told_and_nothing_is_changed() -> None:
    with pytest.raises(Failure) as raised:
        made("[{name='a', config={x=1}}]", {"a": (3, {})}, says="Unknown topic config name: x")
    (found,) = raised.value.findings
    assert found.code == "kafka-topic-refused"
    assert found.message == "topic a: Unknown topic config name: x"


def test_tables_of_configuration_are_names_with_dots() -> None:
    table = tomllib.loads(
        "[[kafka.topics]]\nname='a'\n[kafka.topics.config]\nretention.ms=5\n'min.x'=true\nf=0.5"
    )
    (topic,) = settings.parse(table, sections).of(KafkaSettings).topics
    assert topic.config == (("f", "0.5"), ("min.x", "true"), ("retention.ms", "5"))
