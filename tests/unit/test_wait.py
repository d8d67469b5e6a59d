"""The wait for a workload and what is tried before it, on a cluster that is told what to show."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_api import Answer, kube, listed

from learnflow_infra.diagnosis.state import State
from learnflow_infra.diagnosis.symptoms import Symptom
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.pipeline import wait as waiting
from learnflow_infra.pipeline.unblock import unblock
from learnflow_infra.services import registry, servers
from learnflow_infra.settings import parse

Object = dict[str, Any]
SETTINGS = parse({}, registry.sections)
POSTGRES = registry.find("postgres")
WORKLOAD = {
    "kind": "StatefulSet",
    "metadata": {"name": "postgres", "uid": "u", "generation": 1},
    "spec": {"replicas": 1},
    "status": {"observedGeneration": 1, "updateRevision": "r"},
}


def pod(*, ready: bool = False, crashes: bool = False, node: str = "node") -> Object:
    container: Object = {"name": "postgres", "ready": ready}
    if crashes:
        container["state"] = {"waiting": {"reason": "CrashLoopBackOff"}}
        container["lastState"] = {"terminated": {"exitCode": 3, "reason": "Error"}}
    volume = {"persistentVolumeClaim": {"claimName": "data-postgres-0"}}
    return {
        "metadata": {
            "name": "postgres-0",
            "namespace": "learnflow",
            "uid": "u-postgres-0",
            "labels": {"controller-revision-hash": "r"},
            "ownerReferences": [{"uid": "u", "controller": True}],
        },
        "spec": {"nodeName": node, "containers": [{}], "volumes": [volume]},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": str(ready)}],
            "containerStatuses": [container],
        },
    }


class Cluster:
    """Shows a pod in one state after another: each watch sees one more."""

    def __init__(self, *states: Object) -> None:
        self.states = states
        self.watches = 0
        self.written: list[str] = []

    def __call__(self, method: str, target: str) -> Answer | None:
        where, _, query = target.partition("?")
        seen = self.states[: self.watches]
        if method != "GET":
            self.written.append(f"{method} {where.split('/learnflow/')[1]}")
            return Answer(200, json.dumps({"kind": "Any"}))
        if "watch=true" in query:
            self.watches = min(self.watches + 1, len(self.states))
            events = [
                {"type": "ADDED" if n == 0 else "MODIFIED", "object": each}
                for n, each in enumerate(self.states[: self.watches])
            ]
            return Answer(200, "".join(json.dumps(each) + "\n" for each in events))
        if where.endswith("/statefulsets/postgres"):
            return Answer(200, json.dumps(WORKLOAD))
        if where.endswith("/pods"):
            return listed(*seen[-1:] or self.states[:1])
        if where.endswith("/persistentvolumeclaims"):
            meta = {"name": "data-postgres-0", "namespace": "learnflow", "uid": "u-data"}
            return listed({"metadata": meta, "status": {"phase": "Bound"}})
        return listed()


def waited(folder: Path, cluster: Cluster, seconds: float = 30) -> list[tuple[int, int]]:
    """What was said of the progress."""
    said: list[tuple[int, int]] = []
    with kube(folder, cluster) as api:
        waiting.wait(
            api,
            SETTINGS,
            servers(POSTGRES, SETTINGS),
            Deadline(seconds),
            lambda state: said.append((state.ready, state.total)),
            changed=True,
        )
    return said


def test_it_ends_with_the_pods_and_says_each_progress_once(tmp_path: Path) -> None:
    cluster = Cluster(pod(), pod(), pod(ready=True))
    assert waited(tmp_path, cluster) == [(0, 1), (1, 1)]
    assert cluster.watches == 3


def test_a_crash_loop_of_what_was_just_written_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        waited(tmp_path, Cluster(pod(), pod(crashes=True)))
    assert [each.code for each in failure.value.findings] == ["container-crashing"]
    assert "exit code 3" in failure.value.findings[0].message


def test_when_the_time_is_over_it_says_how_far_it_came(tmp_path: Path) -> None:
    with pytest.raises(Failure) as failure:
        waited(tmp_path, Cluster(pod()), seconds=0.4)
    first = failure.value.findings[0]
    assert (first.code, first.service) == ("deadline-passed", "postgres")
    assert first.message == "0 of 1 pods were ready after 0.4 s"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    yield now
    monkeypatch.undo()


def test_what_stood_there_before_has_a_while_to_go(clock: list[float]) -> None:
    old = State(0, 1, False, symptoms=(Symptom("container-crashing", "exit code 3"),))
    new = State(0, 1, False, symptoms=(Symptom("image-not-found", "no such tag"),))
    assert waiting._Grace(changed=True).over(old)
    grace = waiting._Grace(changed=False)
    assert not grace.over(old)
    clock[0] += waiting._OLD_SECONDS - 1
    assert not grace.over(old)
    assert grace.over(new)  # which the command itself brought about
    grace = waiting._Grace(changed=False)
    assert not grace.over(old)
    clock[0] += waiting._OLD_SECONDS
    assert grace.over(old)


def test_a_trouble_that_may_heal_is_over_when_its_time_is(clock: list[float]) -> None:
    slow = State(0, 1, False, symptoms=(Symptom("image-not-pulled", "EOF", grace=15),))
    grace = waiting._Grace(changed=True)
    assert not grace.over(slow)
    assert not grace.over(State(0, 1, False))  # it went and comes again
    clock[0] += 15
    assert not grace.over(slow)
    clock[0] += 15
    assert grace.over(slow)


@pytest.mark.parametrize(
    ("shown", "written", "said"),
    [
        ([pod(ready=True)], [], []),
        ([], ["PATCH statefulsets/postgres"], []),
        ([pod(node="")], ["DELETE pods/postgres-0"], ["pod/postgres-0"]),
        ([pod(crashes=True)], ["DELETE pods/postgres-0"], ["pod/postgres-0"]),
    ],
    ids=["all is well", "a pod is missing", "a pod has no node", "a pod backs off"],
)
def test_what_is_tried_ever_more_rarely_is_tried_now(
    tmp_path: Path, shown: list[Object], written: list[str], said: list[str]
) -> None:
    cluster = Cluster(*shown)
    with kube(tmp_path, cluster) as api:
        assert unblock(api, SETTINGS, servers(POSTGRES, SETTINGS)).replaced == said
    assert cluster.written == written
