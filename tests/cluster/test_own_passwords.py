"""Passwords of a person's own: they work for every kind of client, or are named with what helps."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator

import pytest

from .conftest import NAMESPACE, Person

PASSWORD = "a:b\\c \"q\" 's' 50%@/?#&+= schön"


def write(person: Person, secret: str, key: str, value: str) -> None:
    data = {"data": {key: base64.b64encode(value.encode()).decode()}}
    person.kubectl("patch", "secret", secret, "-n", NAMESPACE, "-p", json.dumps(data))


@pytest.fixture
def owned(mended: Person) -> Iterator[Person]:
    """Someone who has set both applications' passwords."""
    write(mended, "postgres-credentials", "password", PASSWORD)
    write(mended, "kafka-credentials", "password.learnflow", PASSWORD)
    answer = mended.run("up")
    assert answer.exit_code == 0, answer.stdout
    yield mended
    for secret, key in (
        ("postgres-credentials", "password"),
        ("kafka-credentials", "password.learnflow"),
    ):
        patch = json.dumps([{"op": "remove", "path": f"/data/{key}"}])
        mended.kubectl("patch", "secret", secret, "-n", NAMESPACE, "--type=json", "-p", patch)


def within(person: Person, pod: str, script: str, stdin: str) -> str:
    """What a script in a pod prints."""
    argv = person.kubectl_command("exec", "-i", "-n", NAMESPACE, pod, "--", "bash", "-c", script)
    done = subprocess.run(
        argv, env=person.environment, input=stdin, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_form_of_it_lets_a_client_in(owned: Person) -> None:
    values = owned.secret("postgres-connection")
    assert values["password"] == PASSWORD
    login = f"host={values['host']} dbname={values['database']} user={values['username']}"
    script = (
        "umask 077; file=$(mktemp -p /dev/shm); cat > $file; "
        f"PGPASSFILE=$file psql --no-password -Atc 'select 1' '{login} sslmode=require'; rm $file"
    )
    assert within(owned, "postgres-0", script, values["pgpass"] + "\n") == "1"
    script = 'read -r uri; psql --no-password -Atc "select 2" "${uri/verify-full/require}"'
    assert within(owned, "postgres-0", script, values["uri"] + "\n") == "2"

    script = (
        "cat > /tmp/service.conf; PGSERVICEFILE=/tmp/service.conf psql -Atc 'select 3'; "
        "rm /tmp/service.conf"
    )
    assert within(owned, "postgres-client-0", script, values["pg_service.conf"]) == "3"

    values = owned.secret("kafka-connection")
    script = (
        "/opt/kafka/bin/kafka-broker-api-versions.sh --command-config /dev/stdin "
        f"--bootstrap-server {values['bootstrap.servers']} | head -1"
    )
    assert "9092" in within(owned, "kafka-client-0", script, values["client.properties"])


@pytest.mark.parametrize(
    ("secret", "key", "value"),
    [
        ("postgres-credentials", "password", "sesame\n"),
        ("kafka-credentials", "password.learnflow", ""),
    ],
)
def test_an_unusable_one_is_named_and_the_remedy_helps(
    mended: Person, secret: str, key: str, value: str
) -> None:
    write(mended, secret, key, value)
    answer = mended.run("up", "--json")
    assert (answer.exit_code, answer.codes) == (2, ["password-unusable"])
    command = answer.json["findings"][0]["remedy"].split("`")[1]
    path = f"{mended.kubectl_folder()}:{mended.environment['PATH']}"
    subprocess.run(["bash", "-c", command], env=mended.environment | {"PATH": path}, check=True)
    answer = mended.run("up")
    assert answer.exit_code == 0, answer.stdout
