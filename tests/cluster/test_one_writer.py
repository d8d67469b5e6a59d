"""Commands that change a scope take turns; one that was killed, wherever, is followed up by the
next."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import probes
from .between import Asked, Between, Fault, Meeting
from .conftest import ADMINISTRATOR, CONTEXT, Person
from .machine import eventually

LEASE = "learnflow-infra"
WRITES = ("create", "patch", "update", "delete")


def lease(person: Person, namespace: str) -> dict[str, object] | None:
    where = ("get", "lease", LEASE, "-n", namespace, "--ignore-not-found", "-o", "json")
    said = person.kubectl(*where)
    found: dict[str, object] | None = json.loads(said) if said else None
    return found


def started(person: Person, *arguments: str) -> subprocess.Popen[str]:
    return person.start(*arguments, "--json")


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=180)
    return process.returncode, stdout, stderr


def test_two_at_once_from_nothing_take_turns(person: Person, elsewhere: str) -> None:
    first = started(person, "up")
    eventually(lambda: lease(person, elsewhere) is not None)
    second = started(person, "up")
    for process in (first, second):
        code, said, _ = ended(process)
        assert code == 0, said
    assert json.loads(said)["changed"] == []
    assert lease(person, elsewhere) is None


def test_up_waits_for_a_purge_and_then_makes_all_anew(person: Person, elsewhere: str) -> None:
    assert person.run("up", "postgres").exit_code == 0
    before = person.kubectl("get", "namespace", elsewhere, "-o", "jsonpath={.metadata.uid}")
    # As the administrator, who may remove the namespace and make it.
    path = f"{person.kubectl_folder()}:{person.environment['PATH']}"
    where = ("--context", ADMINISTRATOR, "--json")
    purge = person.start("down", "--purge", "--yes", *where, PATH=path)
    eventually(lambda: lease(person, elsewhere) is not None)
    up = person.start("up", "postgres", *where, PATH=path)
    code, said, _ = ended(purge)
    assert code == 0, said
    code, said, progress = ended(up)
    assert code == 0, said
    assert "waiting" in progress
    after = person.kubectl("get", "namespace", elsewhere, "-o", "jsonpath={.metadata.uid}")
    assert before != after
    assert person.administer("verify", "postgres").exit_code == 0


def test_another_machines_change_is_named_and_waited_for(deployed: Person) -> None:
    now = "2999-01-01T00:00:00.000000Z"
    held = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {
            "name": LEASE,
            "namespace": "learnflow",
            "annotations": {"learnflow-app/command": "up"},
        },
        "spec": {"holderIdentity": "ann@desk", "renewTime": now, "acquireTime": now},
    }
    probes.apply(deployed, held)
    try:
        answer = deployed.run("up", "--json", "--timeout", "6")
        assert (answer.exit_code, answer.codes) == (5, ["scope-held"])
        assert "`up` of ann@desk" in answer.json["findings"][0]["message"]
        for reading in ("verify", "status", "diagnose"):
            answer = deployed.run(reading, "--json")
            assert answer.exit_code == 0, answer.stdout
            assert answer.json["notes"] == ["a change is under way: `up` of ann@desk"]
            assert "under way: `up` of ann@desk" in deployed.run(reading).stdout
    finally:
        deployed.kubectl("delete", "lease", LEASE, "-n", "learnflow")
    assert deployed.run("verify", "--json").json["notes"] == []


class Killer:
    """Ends the command with SIGKILL at its nth write, which the API server still carries out or,
    every other time, never sees."""

    def __init__(self, nth: int) -> None:
        self._left = nth
        self._seen = nth % 2 == 0
        self.process: subprocess.Popen[str] | None = None
        self.killed = ""

    def __call__(self, asked: Asked | None) -> Fault | None:
        if asked is None or asked.verb not in WRITES or "/" in asked.resource:
            return None
        self._left -= 1
        return None if self._left else self._kill(asked)

    def _kill(self, asked: Asked) -> Fault:
        async def fault(meeting: Meeting) -> None:
            if self._seen:
                await meeting.answer()
            assert self.process is not None
            self.process.send_signal(signal.SIGKILL)
            self.killed = str(asked)

        return fault


@pytest.fixture
def between(deployed: Person, elsewhere: str) -> Iterator[str]:
    """The context of the server between, in a namespace of one's own, with an administrator's
    rights by a token, which passes it. Where both services are deployed, their images are loaded.
    """
    person = deployed
    account = person.identity
    person.kubectl(
        *("create", "clusterrolebinding", "the-tests-killer", "--clusterrole=cluster-admin"),
        f"--serviceaccount={account}",
    )
    person.kubectl("config", "set-context", "between", "--cluster=between", f"--user={CONTEXT}")
    yield elsewhere
    for kind in ("context", "cluster"):
        person.kubectl("config", f"delete-{kind}", "between")
    person.kubectl("delete", "clusterrolebinding", "the-tests-killer")


def killed(person: Person, folder: Path, killer: Killer, *arguments: str) -> None:
    """Run a command through the server between, which kills it."""
    path = f"{person.kubectl_folder()}:{person.environment['PATH']}"
    with Between(folder, killer) as server:
        person.kubectl(
            *("config", "set-cluster", "between", f"--server={server.url}"),
            f"--certificate-authority={server.authority}",
        )
        killer.process = person.start(*arguments, "--context", "between", PATH=path)
        stdout, _ = killer.process.communicate(timeout=180)
    assert killer.process.returncode == -signal.SIGKILL, stdout


@pytest.mark.parametrize("nth", [1, 2, 5, 8, 13, 21])
def test_an_up_killed_at_a_write_is_finished_by_the_next(
    person: Person, between: str, tmp_path: Path, nth: int
) -> None:
    assert person.administer("down", "--purge", "--yes").exit_code == 0
    killer = Killer(nth)
    killed(person, tmp_path, killer, "up")
    answer = person.administer("up", "--json", "--timeout", "60")
    assert answer.exit_code == 0, f"{killer.killed}: {answer.stdout}"
    assert "waiting for" not in answer.stderr
    assert lease(person, between) is None


@pytest.mark.parametrize("purge", [False, True], ids=["kept", "purged"])
@pytest.mark.parametrize("nth", [2, 5])
def test_a_down_killed_at_a_write_is_finished_by_the_next(
    person: Person, between: str, tmp_path: Path, nth: int, purge: bool
) -> None:
    assert person.administer("up", "postgres").exit_code == 0
    how = ("--purge", "--yes") if purge else ()
    killer = Killer(nth)
    killed(person, tmp_path, killer, "down", *how)
    answer = person.administer("down", "--json", *how)
    assert answer.exit_code == 0, f"{killer.killed}: {answer.stdout}"
    answer = person.administer("up", "postgres", "--json", "--timeout", "60")
    assert answer.exit_code == 0, answer.stdout
