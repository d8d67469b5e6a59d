"""What the client libraries' errors and Kafka's metadata are taken for."""

from __future__ import annotations

import base64
import secrets
from typing import Any

import kafka.errors
import pg8000.exceptions
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra.findings.causes import CAUSES
from learnflow_infra.kubernetes.routes import FromHost
from learnflow_infra.services.kafka import config as kafka_config
from learnflow_infra.services.kafka import errors as kafka_errors
from learnflow_infra.services.kafka.service import Kafka
from learnflow_infra.services.postgres import errors as postgres_errors
from learnflow_infra.services.registry import sections
from learnflow_infra.services.shared.unreachable import unreachable
from learnflow_infra.settings import parse


@pytest.mark.parametrize(
    ("state", "said", "code"),
    [
        ("28P01", "password authentication failed", "postgres-password"),
        ("28000", 'role "x" is not permitted to log in', "postgres-role"),
        ("28000", 'no pg_hba.conf entry for host "::1"', "postgres-access-refused"),
        ("3D000", 'database "x" does not exist', "postgres-database-missing"),
        ("42501", "permission denied for schema public", "postgres-role"),
        ("53100", "could not extend file: No space left on device", "postgres-disk-full"),
        ("53300", "sorry, too many clients already", "postgres-connections-exhausted"),
        ("57P03", "the database system is starting up", "postgres-starting"),
        ("25006", "cannot execute CREATE TABLE", "postgres-read-only"),
        ("XX001", "invalid page in block 0", "postgres-corrupted"),
        ("XX002", "index is corrupted", "postgres-corrupted"),
        ("42P01", "relation does not exist", "round-trip-failed"),
    ],
)
def test_sqlstates(state: str, said: str, code: str) -> None:
    error = pg8000.exceptions.DatabaseError({"S": "FATAL", "C": state, "M": said})
    found = postgres_errors.of_client(error, "in the cluster, role x, database y")
    assert found.code == code
    assert found.message == f"in the cluster, role x, database y: {said} (SQLSTATE {state})"


def test_a_connection_that_breaks_and_one_that_is_silent_differ() -> None:
    silent = pg8000.exceptions.InterfaceError("network error")
    silent.__cause__ = TimeoutError()
    assert postgres_errors.of_client(silent, "here").code == "service-slow"
    assert postgres_errors.of_client(TimeoutError(), "here").code == "service-slow"
    broken = pg8000.exceptions.InterfaceError("network error")
    assert postgres_errors.of_client(broken, "here").code == "connection-lost"
    assert postgres_errors.of_client(ConnectionResetError(), "here").code == "connection-lost"


def test_the_servers_own_error_is_found_behind_a_goodbye_that_failed() -> None:
    refused = pg8000.exceptions.DatabaseError({"C": "3D000", "M": "no such database"})
    pipe = BrokenPipeError()
    pipe.__context__ = refused
    goodbye = pg8000.exceptions.InterfaceError("network error")
    goodbye.__cause__ = pipe
    assert postgres_errors.of_client(goodbye, "here").code == "postgres-database-missing"


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("psql:<stdin>:7: ERROR:  25006: cannot execute CREATE ROLE", "postgres-read-only"),
        ("psql: error: FATAL:  the database system is starting up", "postgres-starting"),
        ("psql: error: FATAL:  the database system is in recovery mode", "postgres-starting"),
        ("psql:<stdin>:7: ERROR:  42601: syntax error", "reconcile-failed"),
        ("psql: error: could not connect", "reconcile-failed"),
        ("", "reconcile-failed"),
        (
            'psql: error: connection to server on socket "/var/run/postgresql/.s.PGSQL.5432" '
            "failed: No such file or directory",
            "postgres-starting",
        ),
    ],
)
def test_what_psql_says(said: str, code: str) -> None:
    assert postgres_errors.of_psql(f"LOCATION: x\n{said}\nmore").code == code


@pytest.mark.parametrize(
    ("error", "creating", "code"),
    [
        (kafka.errors.NotEnoughReplicasError(), False, "kafka-not-enough-replicas"),
        (kafka.errors.NotEnoughReplicasAfterAppendError(), False, "kafka-not-enough-replicas"),
        (kafka.errors.LeaderNotAvailableError(), False, "kafka-partitions-offline"),
        (kafka.errors.KafkaStorageError(), False, "kafka-storage"),
        (kafka.errors.SaslAuthenticationFailedError(), False, "kafka-password"),
        (kafka.errors.ClusterAuthorizationFailedError(), True, "kafka-access-refused"),
        (kafka.errors.InconsistentClusterIdError(), False, "kafka-cluster-id"),
        (kafka.errors.InvalidReplicationFactorError(), True, "kafka-topic-refused"),
        (kafka.errors.PolicyViolationError(), True, "kafka-topic-refused"),
        (kafka.errors.KafkaTimeoutError("long"), True, "kafka-no-quorum"),
        (kafka.errors.RequestTimedOutError(), True, "kafka-no-quorum"),
        (RuntimeError("Failed to find active controller id!"), True, "kafka-no-quorum"),
        (kafka.errors.KafkaTimeoutError("long"), False, "service-slow"),
        (kafka.errors.KafkaConnectionError("closed"), True, "connection-lost"),
        (kafka.errors.UnknownError(), False, "round-trip-failed"),
    ],
)
def test_kafkas_errors(error: Exception, creating: bool, code: str) -> None:
    found = kafka_errors.explained(error, "in the cluster, writing", creating)
    assert found.code == code
    assert found.message.startswith("in the cluster, writing: ")


def test_the_names_of_kafkas_errors_are_the_librarys() -> None:
    named = (kafka_errors._CODES | kafka_errors._CREATE_CODES).keys() - {"RuntimeError"}
    assert all(hasattr(kafka.errors, name) for name in named)
    codes = {*kafka_errors._CODES.values(), *kafka_errors._CREATE_CODES.values()}
    assert codes | set(postgres_errors._CODES.values()) <= CAUSES.keys()


def test_a_brokers_own_words_are_taken_out_of_a_quoted_response() -> None:
    error = kafka.errors.PolicyViolationError("Request 'x' … error_message='too many partitions')")
    found = kafka_errors.explained(error, "here", True)
    assert found.message == "here: PolicyViolationError: too many partitions"


def topic(name: str, leader: int, replicas: int, in_sync: int) -> dict[str, Any]:
    partition = {
        "partition_index": 0,
        "leader_id": leader,
        "replica_nodes": list(range(replicas)),
        "isr_nodes": list(range(in_sync)),
    }
    return {"name": name, "partitions": [partition]}


@pytest.mark.parametrize(
    ("topics", "code"),
    [
        ([topic("a", 0, 3, 3), topic("b", 0, 1, 1)], None),
        ([topic("a", 0, 3, 2)], "kafka-under-replicated"),
        ([topic("a", 0, 3, 2), topic("b", 0, 3, 1)], "kafka-not-enough-replicas"),
        ([topic("a", 0, 3, 1), topic("b", -1, 1, 1)], "kafka-partitions-offline"),
        ([{"name": "unknown", "partitions": []}], None),
    ],
)
def test_the_worst_of_the_partitions_is_named(
    topics: list[dict[str, Any]], code: str | None
) -> None:
    found = kafka_errors.sick_partitions(topics, kafka_config.minimum_in_sync(3))
    assert (found and found.code) == code


def test_many_sick_partitions_are_a_short_message() -> None:
    found = kafka_errors.sick_partitions([topic("t" * 249, -1, 3, 0)] * 500, 2)
    assert found is not None
    assert len(found.message) < 450
    assert found.message.endswith(" and 497 more")


@given(st.text(max_size=3000), st.text(max_size=8))
def test_no_words_of_a_server_make_a_message_long(said: str, state: str) -> None:
    assert len(postgres_errors.explained(state, said, "here").message) < 250
    assert len(postgres_errors.of_psql(said).message) < 250
    found = kafka_errors.explained(kafka.errors.UnknownError(said), "here", True)
    assert len(found.message) <= 300


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("Name or service not known", "name-unknown"),
        ("Temporary failure in name resolution", "dns-unavailable"),
        ("Connection refused", "service-unreachable"),
        ("the connection closed", "service-unreachable"),
    ],
)
def test_reasons_of_a_connection_not_made(reason: str, code: str) -> None:
    route = FromHost(None, "learnflow", {})  # type: ignore[arg-type]
    found = unreachable("kafka", route, "localhost:9", reason)
    assert found.code == code
    assert found.message == f"from the host, localhost:9: {reason}"


def test_a_cluster_id_is_never_taken_for_an_option(monkeypatch: pytest.MonkeyPatch) -> None:
    with_dash_in_front = b"\xf8" + bytes(15)
    drawn = [with_dash_in_front, bytes(16)]
    rest = secrets.token_bytes
    monkeypatch.setattr(secrets, "token_bytes", lambda n: drawn.pop(0) if drawn else rest(n))
    secret = Kafka().credentials(parse({}, sections))
    assert base64.b64decode(secret["data"]["cluster-id"]).decode() == "A" * 22
