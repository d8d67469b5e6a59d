"""One writer at a time: the Lease, at a cluster that is told what it holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fake_api import Answer, kube, status

from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import machine
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.pipeline import lease
from learnflow_infra.services import registry
from learnflow_infra.settings import parse

SETTINGS = parse({}, registry.sections)
NOW, LONG_AGO = "2999-01-01T00:00:00.000000Z", "2020-01-01T00:00:00.000000Z"


class Cluster:
    """Holds one Lease, or none."""

    def __init__(self, **there: Any) -> None:
        self.lease = there
        self.made = 0
        self.renewals = 0
        self.taken = threading.Event()
        """Set to let the next renewal find somebody else's."""

    def __call__(self, method: str, target: str) -> Answer:
        absent = status(404, "NotFound")
        if method == "POST":
            if self.lease:
                return status(409, "AlreadyExists")
            self.made += 1
            self.lease = {
                "kind": "Lease",
                "metadata": {"uid": f"u{self.made}"},
                "spec": {"renewTime": NOW},
            }
            return Answer(201, json.dumps(self.lease))
        if method == "GET":
            return Answer(200, json.dumps(self.lease)) if self.lease else absent
        if method == "PATCH":
            self.renewals += 1
            return (
                status(409, "Conflict")
                if self.taken.is_set()
                else Answer(200, json.dumps({"kind": "Lease"}))
            )
        there, self.lease = self.lease, {}
        return Answer(200, json.dumps({"kind": "Status"})) if there else absent


def theirs(renewed: str, process: str = "") -> dict[str, Any]:
    notes = {"learnflow-app/command": "up", "learnflow-app/process": process}
    spec = {"holderIdentity": "ann@desk", "renewTime": renewed}
    return {"kind": "Lease", "metadata": {"uid": "theirs", "annotations": notes}, "spec": spec}


@contextmanager
def held(
    folder: Path, cluster: Cluster, said: list[str], seconds: float = 30
) -> Iterator[Deadline]:
    deadline = Deadline(seconds)
    with kube(folder, cluster) as api, lease.held(api, SETTINGS, "up", deadline, said.append):
        yield deadline


def test_it_is_held_and_given_back(tmp_path: Path) -> None:
    cluster, said = Cluster(), list[str]()
    with held(tmp_path, cluster, said):
        assert cluster.lease
    assert (cluster.lease, said) == ({}, [])


def test_who_holds_it_is_waited_for_and_named(tmp_path: Path) -> None:
    cluster, said = Cluster(**theirs(NOW)), list[str]()
    with pytest.raises(Failure) as failure, held(tmp_path, cluster, said, seconds=0.8):
        pass
    assert said == ["waiting for `up` of ann@desk"]
    (found,) = failure.value.findings
    assert (found.code, found.message) == ("scope-held", "`up` of ann@desk in namespace learnflow")
    assert cluster.lease["metadata"]["uid"] == "theirs"


def test_one_that_is_given_back_is_taken(tmp_path: Path) -> None:
    cluster, said = Cluster(**theirs(NOW)), list[str]()

    def give_back(line: str) -> None:
        said.append(line)
        cluster.lease = {}

    with (
        kube(tmp_path, cluster) as api,
        lease.held(api, SETTINGS, "up", Deadline(30), give_back) as waited,
    ):
        assert waited
    assert len(said) == 1


def test_a_holder_that_is_silent_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_SECONDS", 0.5)
    cluster, said = Cluster(**theirs(NOW)), list[str]()
    with held(tmp_path, cluster, said):
        assert cluster.lease["metadata"]["uid"] == "u1"
    assert said == ["waiting for `up` of ann@desk"]


def ended() -> str:
    """The identity of a process that has ended."""
    program = "from learnflow_infra.host import machine; print(machine.process_identity())"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    return done.stdout.strip()


def test_a_holder_whose_process_has_ended_here_or_long_ago_is_gone(tmp_path: Path) -> None:
    for gone in (theirs(LONG_AGO), theirs(NOW, ended())):
        cluster, said = Cluster(**gone), list[str]()
        folder = tmp_path / gone["spec"]["renewTime"][:4]
        folder.mkdir()
        with kube(folder, cluster) as api:
            assert lease.under_way(api, SETTINGS) == []
            with lease.held(api, SETTINGS, "up", Deadline(30), said.append):
                assert said == []


def test_a_process_is_known_by_more_than_its_number() -> None:
    own = machine.process_identity()
    boot, namespace, number, started = own.split(" ")
    assert not machine.has_ended(own)
    assert machine.has_ended(f"{boot} {namespace} {number} {int(started) - 1}")
    assert not machine.has_ended(f"{boot} pid:[1] {number} 1")
    assert not machine.has_ended(f"another {namespace} {number} 1")
    assert not machine.has_ended("")


def test_a_user_without_a_name_is_told_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found")

    monkeypatch.setattr("getpass.getuser", nameless)
    assert lease._user() == f"user-{os.getuid()}"


def test_who_was_taken_for_gone_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEWAL_SECONDS", 0.05)
    cluster = Cluster()
    with pytest.raises(Failure) as failure, held(tmp_path, cluster, []) as deadline:
        while not cluster.renewals:
            deadline.remaining()
        cluster.taken.set()
        while True:
            deadline.within(5).remaining()
    assert [each.code for each in failure.value.findings] == ["lease-lost"]


def test_a_report_says_whose_change_is_under_way(tmp_path: Path) -> None:
    with kube(tmp_path, Cluster(**theirs(NOW))) as api:
        assert lease.under_way(api, SETTINGS) == ["a change is under way: `up` of ann@desk"]
