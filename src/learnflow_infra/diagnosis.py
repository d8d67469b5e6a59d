"""From the state of a service's objects to findings, as one pure function of what the API showed.

Judged by owners and by container states, never by a pod's phase alone: a finished Job is no
failure, an old stray pod no success. A finding says whether waiting may still heal it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from learnflow_infra.failures import Finding, finding

Object = dict[str, Any]

# What a container's waiting reason means, as the kubelet names them. The kubelet retries all of
# them; those marked final heal only by a change from outside.
_WAITING: Mapping[str, tuple[str, bool]] = {
    "ErrImagePull": ("image-not-pulled", False),
    "ImagePullBackOff": ("image-not-pulled", True),
    "InvalidImageName": ("image-name-invalid", True),
    "ErrImageNeverPull": ("image-absent", True),
    "CreateContainerConfigError": ("container-config", True),
    "CreateContainerError": ("container-create", True),
    "RunContainerError": ("container-run", True),
    "CrashLoopBackOff": ("container-crashing", True),
}


@dataclass(frozen=True)
class State:
    """How far a service's workload is."""

    ready: int
    total: int
    done: bool
    findings: tuple[Finding, ...] = ()
    final: bool = False
    """Whether the findings can no longer heal by waiting."""


def state(service: str, workload: Object | None, pods: Iterable[Object], expected: int) -> State:
    """Judge a StatefulSet and its pods, of which the settings expect so many."""
    if workload is None:
        return State(
            0,
            expected,
            False,
            (finding("not-deployed", f"{service} is not there", service=service),),
        )
    uid = workload["metadata"]["uid"]
    status = workload.get("status", {})
    revision = status.get("updateRevision")
    observed = status.get("observedGeneration", 0) >= workload["metadata"].get("generation", 0)
    owned = [pod for pod in pods if _owned_by(pod, uid) and not _deleting(pod)]
    current = [
        pod
        for pod in owned
        if observed
        and pod["metadata"].get("labels", {}).get("controller-revision-hash") == revision
    ]
    ready = sum(is_ready(pod) for pod in current)
    found: list[Finding] = []
    final = False
    for pod in owned:
        for each, lasting in _pod_findings(service, pod):
            found.append(each)
            final = final or lasting
    return State(ready, expected, ready >= expected and observed, tuple(found), final)


def is_ready(pod: Object) -> bool:
    """Running, and its Ready condition true."""
    status = pod.get("status", {})
    return status.get("phase") == "Running" and any(
        each.get("type") == "Ready" and each.get("status") == "True"
        for each in status.get("conditions") or ()
    )


def _owned_by(pod: Object, uid: str) -> bool:
    return any(
        owner.get("uid") == uid and owner.get("controller")
        for owner in pod["metadata"].get("ownerReferences") or ()
    )


def _deleting(pod: Object) -> bool:
    return bool(pod["metadata"].get("deletionTimestamp"))


def _pod_findings(service: str, pod: Object) -> Sequence[tuple[Finding, bool]]:
    name = pod["metadata"]["name"]
    status = pod.get("status", {})
    found = []
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("reason") == "Unschedulable":
            message = f"{name}: {condition.get('message', '')[:300]}"
            # A volume that is still being provisioned shows as unschedulable too.
            lasting = "Insufficient" in message
            found.append((finding("unschedulable", message, service=service), lasting))
    for container in status.get("containerStatuses") or ():
        last = container.get("lastState", {}).get("terminated") or {}
        waiting = container.get("state", {}).get("waiting") or {}
        reason = waiting.get("reason", "")
        if last.get("reason") == "OOMKilled" and not container.get("ready"):
            message = f"{name}: killed for memory beyond its limit"
            found.append((finding("out-of-memory", message, service=service), bool(waiting)))
        elif reason in _WAITING:
            code, lasting = _WAITING[reason]
            detail = waiting.get("message", "")
            if code == "container-crashing" and last:
                detail = (
                    f"exit code {last.get('exitCode')}, {container.get('restartCount')} restarts"
                )
            message = " ".join(f"{name}: {reason}: {detail}".split())[:300]
            found.append((finding(code, message, service=service), lasting))
    return found
