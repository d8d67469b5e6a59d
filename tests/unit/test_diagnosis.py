"""What the state of a workload and its pods is judged to be."""

from __future__ import annotations

from typing import Any

import pytest

from learnflow_infra import diagnosis

UID = "u-1"


def workload(replicas: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": UID, "generation": 2},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 2, "updateRevision": "r2"} | status,
    }


def pod(
    name: str = "kafka-0",
    *,
    owner: str = UID,
    revision: str = "r2",
    phase: str = "Running",
    ready: bool = True,
    container: dict[str, Any] | None = None,
    conditions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "labels": {"controller-revision-hash": revision},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]
            + (conditions or []),
            "containerStatuses": [container or {}],
        },
    }


def test_done_when_all_owned_pods_of_the_current_revision_are_ready() -> None:
    assert diagnosis.state("kafka", workload(), [pod()], 1).done


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [pod(ready=False)],
        [pod(phase="Pending")],
        [pod(owner="another")],
        [pod(revision="r1")],
        [pod() | {"metadata": pod()["metadata"] | {"deletionTimestamp": "now"}}],
    ],
    ids=["none", "unready", "pending", "stray", "old revision", "going"],
)
def test_not_done_with(pods: list[dict[str, Any]]) -> None:
    assert not diagnosis.state("kafka", workload(), pods, 1).done


def test_not_done_while_the_controller_has_not_seen_the_change() -> None:
    assert not diagnosis.state("kafka", workload(observedGeneration=1), [pod()], 1).done


def test_a_workload_scaled_down_by_hand_is_not_done() -> None:
    assert not diagnosis.state("kafka", workload(replicas=0), [], 1).done


def test_a_finished_job_beside_the_workload_is_no_failure() -> None:
    job = pod("job-x", owner="job", phase="Succeeded", ready=False)
    state = diagnosis.state("kafka", workload(), [pod(), job], 1)
    assert state.done
    assert state.findings == ()


def test_nothing_deployed_is_said() -> None:
    state = diagnosis.state("kafka", None, [], 1)
    assert [each.code for each in state.findings] == ["not-deployed"]


@pytest.mark.parametrize(
    ("reason", "code", "final"),
    [
        ("ErrImagePull", "image-not-pulled", False),
        ("ImagePullBackOff", "image-not-pulled", True),
        ("InvalidImageName", "image-name-invalid", True),
        ("ErrImageNeverPull", "image-absent", True),
        ("CreateContainerConfigError", "container-config", True),
        ("CreateContainerError", "container-create", True),
        ("RunContainerError", "container-run", True),
        ("CrashLoopBackOff", "container-crashing", True),
    ],
)
def test_a_waiting_container_names_its_cause(reason: str, code: str, final: bool) -> None:
    waiting = {"state": {"waiting": {"reason": reason, "message": "why\nand\tmore"}}}
    state = diagnosis.state("kafka", workload(), [pod(ready=False, container=waiting)], 1)
    assert [each.code for each in state.findings] == [code]
    assert state.final is final
    assert "\n" not in state.findings[0].message


def test_a_container_that_is_only_being_created_is_waited_for() -> None:
    waiting = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    state = diagnosis.state("kafka", workload(), [pod(ready=False, container=waiting)], 1)
    assert (state.findings, state.final) == ((), False)


def test_a_container_killed_for_memory_is_told_from_a_crash() -> None:
    container = {
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }
    state = diagnosis.state("kafka", workload(), [pod(ready=False, container=container)], 1)
    assert [each.code for each in state.findings] == ["out-of-memory"]


def test_a_pod_without_room_is_final_and_one_whose_volume_comes_is_not() -> None:
    def unschedulable(message: str) -> diagnosis.State:
        condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": message}
        pending = pod(phase="Pending", ready=False, conditions=[condition])
        return diagnosis.state("kafka", workload(), [pending], 1)

    assert unschedulable("0/1 nodes are available: 1 Insufficient memory.").final
    assert not unschedulable("pod has unbound immediate PersistentVolumeClaims").final
