"""What Kafka's users may do, and that no value leaves its field."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra import settings
from learnflow_infra.services.kafka import config as kafka_config
from learnflow_infra.services.kafka.service import Kafka
from learnflow_infra.services.kafka.settings import PROBES, KafkaSettings
from learnflow_infra.services.kafka.users import Acl, acls
from learnflow_infra.services.registry import sections


def parsed(**kafka: object) -> settings.Settings:
    return settings.parse({"kafka": kafka}, sections)


def test_the_application_owns_declared_topics_and_what_it_is_given_and_nothing_else() -> None:
    kafka = parsed(
        user="shop",
        user_topics=["shop.*", "cart"],
        user_groups=["billing"],
        topics=[{"name": "orders"}],
    ).of(KafkaSettings)
    assert acls(kafka) == {
        Acl("User:shop", "ALL", resource, name, pattern)
        for resource, name, pattern in (
            ("TOPIC", PROBES, "PREFIXED"),
            ("TOPIC", "orders", "LITERAL"),
            ("TOPIC", "shop.", "PREFIXED"),
            ("TOPIC", "cart", "LITERAL"),
            ("GROUP", "billing", "LITERAL"),
            ("TRANSACTIONAL_ID", "shop.", "PREFIXED"),
            ("TRANSACTIONAL_ID", "cart", "LITERAL"),
            ("TRANSACTIONAL_ID", "billing", "LITERAL"),
        )
    }


def test_all_groups_are_a_name_of_kafka_s_own() -> None:
    groups = {each for each in acls(parsed(user_groups=["*"]).of(KafkaSettings))}
    assert Acl("User:learnflow", "ALL", "GROUP", "*", "LITERAL") in groups


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        ("read", {("TOPIC", "READ"), ("GROUP", "READ")}),
        (
            "write",
            {
                *(("TOPIC", "READ"), ("TOPIC", "WRITE")),
                *(("TRANSACTIONAL_ID", "WRITE"), ("GROUP", "READ")),
            },
        ),
        ("own", {("TOPIC", "ALL"), ("TRANSACTIONAL_ID", "ALL"), ("GROUP", "ALL")}),
    ],
)
def test_what_an_access_allows(access: str, allowed: set[tuple[str, str]]) -> None:
    user = {"name": "billing", "access": access, "topics": ["t.*"], "groups": ["g.*"]}
    found = [
        each
        for each in acls(parsed(users=[user]).of(KafkaSettings))
        if each.principal == "User:billing"
    ]
    assert {(each.resource, each.operation) for each in found} == allowed
    names = {"TOPIC": ["t."], "GROUP": ["g."], "TRANSACTIONAL_ID": ["t.", "g."]}
    assert all(each.name in names[each.resource] for each in found)
    assert all(each[4:] == ("PREFIXED", "ALLOW", "*") for each in found)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_no_password_leaves_its_field(password: str) -> None:
    login = kafka_config.scram_login("learnflow", password)
    head, _, rest = login.partition('password="')
    assert head.endswith('username="learnflow" ')
    read, end = "", 0
    while rest[end] not in '"\n\r':  # as Java's StreamTokenizer reads a quoted string
        escaped = rest[end] == "\\"
        end += escaped
        read += {"n": "\n", "r": "\r"}.get(rest[end], rest[end]) if escaped else rest[end]
        end += 1
    assert read == password
    assert rest[end:] == '";'


@pytest.mark.parametrize("encryption", [True, False])
def test_every_listener_asks_for_a_login(encryption: bool) -> None:
    table = {"security": {"encryption": encryption}}
    files = kafka_config.files(settings.parse(table, sections), ["kafka-0"])
    values = dict(line.split("=", 1) for line in files["server.properties"].splitlines())
    names = [each.partition(":")[0] for each in values["listeners"].split(",")]
    kind = "SASL_SSL" if encryption else "SASL_PLAINTEXT"
    protocols = dict(
        each.split(":") for each in values["listener.security.protocol.map"].split(",")
    )
    assert protocols == dict.fromkeys(names, kind)
    mechanisms = {
        name: values[f"listener.name.{name.lower()}.sasl.enabled.mechanisms"] for name in names
    }
    assert mechanisms == {
        "CLIENT": "SCRAM-SHA-512",
        "HOST": "SCRAM-SHA-512",
        "BROKER": "PLAIN",
        "CONTROLLER": "PLAIN",
    }
    assert values["allow.everyone.if.no.acl.found"] == "false"


def test_each_user_has_a_password_and_a_secret_of_its_own() -> None:
    given_ = parsed(users=[{"name": "billing"}, {"name": "audit", "access": "write"}])
    kafka = Kafka()
    data = kafka.credentials(given_)["data"]
    credentials = {key: base64.b64decode(value).decode() for key, value in data.items()}
    passwords = {key: each for key, each in credentials.items() if key.startswith("password.")}
    names = {"node", "admin", "learnflow", "billing", "audit"}
    assert set(passwords) == {f"password.{name}" for name in names}
    assert len(set(passwords.values())) == len(names)
    secrets = {
        each["metadata"]["name"]: base64.b64decode(each["data"]["password"]).decode()
        for each in kafka.connections(given_, credentials, "")
    }
    assert secrets == {
        "kafka-connection": credentials["password.learnflow"],
        "kafka-admin": credentials["password.admin"],
        "kafka-connection-billing": credentials["password.billing"],
        "kafka-connection-audit": credentials["password.audit"],
    }
