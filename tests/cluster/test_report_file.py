"""What --verbose and --report hold beside the verdict, and what they never hold."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import NAMESPACE, Person
from .machine import eventually

NAME = "talkative"


@pytest.fixture
def talkative(deployed: Person) -> Iterator[Person]:
    """A pod of another's that prints a password it was given, and escape sequences."""
    key = {"name": "postgres-connection", "key": "password"}
    container = {
        "name": "c",
        "image": "postgres:17.12",
        "command": ["bash", "-c", r'printf "\e[31mthe password is $P\e[0m\a\n"; sleep infinity'],
        "env": [{"name": "P", "valueFrom": {"secretKeyRef": key}}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 999,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME}}
    pod["spec"] = {"containers": [container], "terminationGracePeriodSeconds": 0}
    deployed.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=json.dumps(pod))
    deployed.kubectl("wait", "pod", NAME, "-n", NAMESPACE, "--for=condition=Ready")
    eventually(lambda: "password is" in deployed.kubectl("logs", NAME, "-n", NAMESPACE), 60)
    yield deployed
    deployed.kubectl("delete", "pod", NAME, "-n", NAMESPACE)


def secrets(person: Person) -> set[str]:
    shown = person.objects("secrets")
    names = ("password", "uri", "jdbc-uri")
    return {
        base64.b64decode(value).decode()
        for each in shown
        for key, value in each["data"].items()
        if key in names
    }


def test_the_rest_is_in_the_file_and_on_stderr_without_secrets(
    talkative: Person, tmp_path: Path
) -> None:
    file = tmp_path / "report.txt"
    answer = talkative.run("verify", "--verbose", "--report", str(file))
    assert answer.exit_code == 0, answer.stdout
    assert len(answer.stdout.encode()) <= 400
    text = file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(text.encode()) <= 1_000_000
    for section in ("findings", "events", "Node", "StatefulSet", "Pod", "log of kafka-0"):
        assert f"\n== {section}" in text
    assert "the password is ***" in text
    assert all(char.isprintable() or char == "\n" for char in text)
    shown = answer.stderr[answer.stderr.index("learnflow-infra verify") :]
    assert len(shown.encode()) <= 32_000
    assert "\n== events" in shown
    known = secrets(talkative)
    assert len(known) >= 2
    for secret in known:
        assert secret not in text + answer.stdout + answer.stderr


def test_without_a_cluster_the_file_says_so(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    path = f"{person.kubectl_folder()}:{person.environment['PATH']}"
    answer = person.run("verify", "--context", "nowhere", "--report", str(file), PATH=path)
    assert answer.exit_code == 3
    assert "\n== findings\nkubectl-failed  -: " in file.read_text()
    assert "the cluster could not be read: kubectl-failed" in file.read_text()


def test_all_that_was_changed_is_in_the_file(mended: Person, tmp_path: Path) -> None:
    names = {"service/kafka", "service/postgres", "networkpolicy/kafka", "networkpolicy/postgres"}
    mended.kubectl("delete", "-n", NAMESPACE, *names)
    answer = mended.run("up", "--report", str(tmp_path / "report"))
    assert answer.exit_code == 0, answer.stdout
    assert "and 2 more" in answer.stdout
    lines = (tmp_path / "report").read_text().splitlines()
    at = lines.index("== changed")
    assert set(lines[at + 1 : at + 5]) == names
