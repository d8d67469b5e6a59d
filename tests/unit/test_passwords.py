"""Passwords of a user's own: each works in every form that a Secret gives it, or is named."""

from __future__ import annotations

import base64
import hashlib
import hmac
import unicodedata
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
import scramp.utils
from fake_api import kube, listed
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.secrets import decoded, encoded
from learnflow_infra.pipeline import credentials
from learnflow_infra.pipeline.scope import Changes, Key
from learnflow_infra.services import Access, Secrets, password_key, registry
from learnflow_infra.services.kafka.service import Kafka
from learnflow_infra.services.kafka.settings import NODE
from learnflow_infra.services.postgres import client
from learnflow_infra.services.postgres.service import Postgres, scram_verifier
from learnflow_infra.services.shared import passwords
from learnflow_infra.settings import parse

SETTINGS = parse({"security": {"encryption": False}}, registry.sections)
ODD = {
    "": "is empty",
    "sesame\n": "ends with a line break",
    "sesame\r\n": "ends with a line break",
    "ses\name": "holds a control character",
    "ses\0ame": "holds a control character",
    "x" * 1001: "is longer than 1000 characters",
    "ses\u00a0ame": "holds letters that SASLprep changes or forbids",
    "ses\u00adame": "holds letters that SASLprep changes or forbids",
    "\u2168": "holds letters that SASLprep changes or forbids",
    "\u00aa": "holds letters that SASLprep changes or forbids",
    "ses\u200eame": "holds letters that SASLprep changes or forbids",
    "\u05d0x": "holds letters that SASLprep changes or forbids",
}
GOOD = [
    "a",
    "a:b\\c",
    "\"quoted'",
    "50% @/?#&+=",
    " spaces",
    "schön",
    "пароль",
    "\u05d0\u05d1",
    "${x}",
]


@pytest.mark.parametrize(("password", "said"), ODD.items(), ids=map(repr, ODD))
def test_what_is_not_taken_alike_is_said(password: str, said: str) -> None:
    assert passwords.flaw(password) == said


@pytest.mark.parametrize("password", GOOD)
def test_what_works_is_taken(password: str) -> None:
    assert not passwords.flaw(password)


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_what_is_taken_is_what_a_client_with_saslprep_sends(password: str) -> None:
    try:
        same = scramp.utils.saslprep(password) == password
    except scramp.ScramException:
        same = False
    control = any(unicodedata.category(each) == "Cc" for each in password)
    usable = same and not control and "\ufffd" not in password and not password[-1].isspace()
    assert (passwords.flaw(password) == "") is usable


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1))
def test_no_password_of_postgres_leaves_its_field(password: str) -> None:
    values = decoded(Postgres().connections(SETTINGS, {"password": password}, "")[0])
    uri = urlsplit(values["uri"])
    assert unquote(uri.password or "") == password
    assert uri.hostname == values["host"]
    query = parse_qs(urlsplit(values["jdbc-uri"].removeprefix("jdbc:")).query)
    assert query["password"] == [password]
    assert _fields(values["pgpass"])[-1] == password
    assert len(_fields(values["pgpass"])) == 5


def _fields(line: str) -> list[str]:
    """As libpq reads a line of its password file."""
    fields, escaped = [""], False
    for each in line:
        if each == "\\" and not escaped:
            escaped = True
        elif each == ":" and not escaped:
            fields.append("")
        else:
            fields[-1] += each
            escaped = False
    return fields


@pytest.mark.parametrize("password", GOOD)
def test_a_verifier_fits_what_a_client_sends(password: str) -> None:
    head, keys = scram_verifier(password).rsplit("$", 1)
    salt = base64.b64decode(head.rpartition(":")[2])
    sent = scramp.utils.saslprep(password).encode()
    salted = hashlib.pbkdf2_hmac("sha256", sent, salt, 4096)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    assert base64.b64decode(keys.partition(":")[0]) == stored


def provided(tmp_path: Path, service: str, key: str, value: str) -> None:
    """The credentials of a service whose Secret somebody has written to."""
    found = registry.find(service)
    secret = found.credentials(SETTINGS)
    secret["data"] |= encoded({key: value})
    secret["metadata"]["resourceVersion"] = "1"
    live: dict[Key, Object] = {("Secret", secret["metadata"]["name"]): secret}
    with kube(tmp_path, lambda *_: listed()) as api:
        made = credentials.provide(api, SETTINGS, [found], live, Changes())
        found.connections(SETTINGS, made.values[service], "")


@pytest.mark.parametrize(
    ("service", "key"), [("postgres", "password"), ("kafka", password_key("learnflow"))]
)
def test_an_unusable_one_is_named_before_anything_is_written(
    tmp_path: Path, service: str, key: str
) -> None:
    with pytest.raises(Failure) as failed:
        provided(tmp_path, service, key, "sesame\n")
    (found,) = failed.value.findings
    assert found.code == "password-unusable"
    assert found.message == f"{key} in the Secret {service}-credentials ends with a line break"
    assert f"/data/{key}" in found.remedy
    assert "sesame" not in str(found)


@pytest.mark.parametrize("password", ['a"b', "a\\b"])
def test_what_only_kafkas_nodes_cannot_read_is_named(tmp_path: Path, password: str) -> None:
    with pytest.raises(Failure, match=r"password-unusable: .*which the nodes cannot read"):
        provided(tmp_path, "kafka", password_key(NODE), password)


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ({"password": ""}, "has no password"),
        ({"username": ""}, "has no username"),
        ({"port": "abc"}, "port .* is no number"),
    ],
)
def test_a_connection_secret_that_was_changed_is_a_finding(
    tmp_path: Path, missing: dict[str, str], said: str
) -> None:
    connection = decoded(Postgres().connections(SETTINGS, {"password": "x"}, "")[0]) | missing
    with kube(tmp_path, lambda *_: listed()) as api:
        access = Access(api, SETTINGS, Secrets(connection, {}), Deadline(5))
        with (
            pytest.raises(Failure, match=rf"connection-missing: .*{said}"),
            client.login(access, None),  # type: ignore[arg-type]
        ):
            pass


def test_kafkas_changed_connection_secret_is_a_finding(tmp_path: Path) -> None:
    with kube(tmp_path, lambda *_: listed()) as api:
        access = Access(api, SETTINGS, Secrets({}, {}), Deadline(5))

        class Route:
            name = "cluster"

        with pytest.raises(Failure, match=r"connection-missing: .*has no bootstrap"):
            Kafka().prove(access, Route())  # type: ignore[arg-type]
