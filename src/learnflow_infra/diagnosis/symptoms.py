"""What is wrong with pods, claims and workloads: each trouble that their states and events show.

Nothing is taken to be well-formed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from learnflow_infra.diagnosis.reasons import FOREVER, cause_of
from learnflow_infra.kubernetes.objects import (
    Object,
    at,
    condition,
    name_of,
    number,
    objects,
    text,
    uid_of,
)

_MOST_DETAIL = 240
_PRESSURES = ("MemoryPressure", "DiskPressure", "PIDPressure")
# Exit codes of a container that was stopped or killed: by a probe, or with its node.
_STOPPED = (0, 137, 143)
_HOLDING_UP = ("FailedMount", "FailedMapVolume", "FailedAttachVolume", "FailedCreatePodSandBox")
# What a container waits with that nothing is wrong with.
_STARTING = ("ContainerCreating", "PodInitializing")
_OFTEN = 3
_PULLS = ("Pulling", "Pulled", "Failed", "BackOff")
# From Kubernetes 1.33 on a pod is tried again as soon as its claim is seen to be bound, by an event
# that may come before the scheduler's own record of claims has it; then nothing wakes it up again.
STALLED = "scheduler-stalled"
_PULL_SECONDS = 1500.0  # a large image, a slow line
_PROGRESS = ("SuccessfulCreate", "Pulling", "Pulled", "Created", "Started", "ProvisioningSucceeded")


@dataclass(frozen=True)
class Log:
    """A container's log that would say why, of the run before this one where `previous`."""

    pod: str
    container: str
    previous: bool


@dataclass(frozen=True)
class Symptom:
    """One cause met, and the seconds for which waiting may still heal it."""

    code: str
    detail: str
    grace: float = 0.0
    objects: tuple[str, ...] = ()
    log: Log | None = None


def of_pod(
    service: str,
    pod: Object,
    claims: Sequence[Object],
    events: Sequence[Object],
    nodes: dict[str, Object],
) -> Iterator[Symptom]:
    name, uid = name_of(pod), uid_of(pod)
    node = text(at(pod, "spec", "nodeName"))
    if node in nodes and condition(nodes[node], "Ready") != "True":
        yield Symptom("node-not-ready", f"node {node} is not Ready", 40, (name,))
        return  # what it last said of its pods no longer holds
    reason = text(at(pod, "status", "reason"))
    if cause := cause_of(reason, text(at(pod, "status", "message"))):
        yield Symptom(cause[0], _message(reason, at(pod, "status", "message")), cause[1], (name,))
    for each in objects(at(pod, "status", "conditions")):
        if each.get("type") == "PodScheduled" and each.get("status") != "True":
            message = re.split(r",? (?:no new claims|preemption:)", text(each.get("message")))[0]
            if cause := cause_of(text(each.get("reason")), message):
                symptom = Symptom(cause[0], short(message), cause[1], (name,))
                if cause[0] == "unschedulable-taint":
                    symptom = _of_taints(symptom, nodes)
                elif cause[0] == "volume-unbound" and _all_bound(pod, claims):
                    symptom = Symptom(STALLED, "its claims are bound", 3, (name,))
                yield symptom
    killing = text(_newest(uid, events, ("Killing",)).get("message"))
    probe = re.search(r"failed (liveness|startup) probe", killing)
    killed = f"{probe[1]}-probe-killing" if probe else ""
    unhealthy = _unhealthy(uid, events, probe[1] if probe else "")
    explained = False
    for kind in ("initContainerStatuses", "containerStatuses"):
        for container in objects(at(pod, "status", kind)):
            init = kind.startswith("init")
            for symptom in _of_container(service, name, container, init, killed, unhealthy):
                explained = True
                yield symptom
    if not explained and held_up(pod):
        yield from of_events(uid, name, events, _HOLDING_UP)
        yield from _pulling(uid, name, events)
        if node in nodes and (pressure := _pressure(nodes[node])):
            yield Symptom("node-under-pressure", f"node {node} has {pressure}", 5, (name,))
    elif not explained and unhealthy:
        log = Log(name, _first_unready(pod), False)
        yield Symptom("pods-not-ready", short(unhealthy), FOREVER, (name,), log)


def _all_bound(pod: Object, claims: Sequence[Object]) -> bool:
    named = _claimed([pod])
    bound = {name_of(each) for each in claims if at(each, "status", "phase") == "Bound"}
    return bool(named) and named <= bound


def _pulling(uid: str, name: str, events: Sequence[Object]) -> Iterator[Symptom]:
    newest = _newest(uid, events, _PULLS)
    if newest.get("reason") == "Pulling":
        detail = f"{text(newest.get('message'))}, since {when(newest)}"
        yield Symptom("image-pull-slow", short(detail), _PULL_SECONDS, (name,))


def _of_taints(symptom: Symptom, nodes: Mapping[str, Object]) -> Symptom:
    """The taints' names, or what a taint of Kubernetes' own stands for where every node has one."""
    ill = [_illness(symptom, name, node) for name, node in nodes.items()]
    if ill and all(ill):
        return ill[0] or symptom
    keys = {
        text(each.get("key"))
        for node, illness in zip(nodes.values(), ill, strict=True)
        if illness is None
        for each in objects(at(node, "spec", "taints"))
    }
    if not keys:
        return symptom
    detail = short(f"{symptom.detail.rstrip('.')}: {', '.join(sorted(keys))}")
    return replace(symptom, detail=detail, grace=0)


def _illness(symptom: Symptom, name: str, node: Object) -> Symptom | None:
    """The symptom as one of a node that is not well."""
    if condition(node, "Ready") != "True":
        return replace(symptom, code="node-not-ready", detail=f"node {name} is not Ready", grace=40)
    if pressure := _pressure(node):
        detail = f"node {name} has {pressure}"
        return replace(symptom, code="node-under-pressure", detail=detail, grace=5)
    return None


def _of_container(
    service: str, pod: str, container: Object, init: bool, killed: str, unhealthy: str
) -> Iterator[Symptom]:
    name = text(container.get("name"))
    waiting = text(at(container, "state", "waiting", "reason"))
    now, last = (at(container, key, "terminated") for key in ("state", "lastState"))
    ended = now if isinstance(now, dict) else last
    ended = ended if isinstance(ended, dict) else {}
    crashes = waiting == "CrashLoopBackOff"
    if waiting and not crashes:
        message = at(container, "state", "waiting", "message")
        if cause := cause_of(waiting, text(message)):
            yield Symptom(cause[0], _message(waiting, message), cause[1], (pod,))
        return
    exit_code, reason = ended.get("exitCode"), text(ended.get("reason"))
    # Twice in a row: between its end and the kubelet's next word it is no less a crash loop.
    again = isinstance(now, dict) and isinstance(last, dict) and exit_code not in _STOPPED
    crashes = crashes or again
    if container.get("ready") is True or not (ended or crashes):
        return
    grace = 0 if crashes else FOREVER
    log = Log(pod, name, previous=last is not None and not isinstance(now, dict))
    how = f"exit code {exit_code}, {reason}" if reason else f"exit code {exit_code}"
    if name and name != service:
        how = f"container {name}: {how}"
    if reason == "OOMKilled":
        yield Symptom("out-of-memory", f"killed for memory beyond its limit, {how}", grace, (pod,))
    elif cause := cause_of(reason, ""):
        yield Symptom(cause[0], _message(reason, ended.get("message")), grace, (pod,))
    elif init:
        if crashes or exit_code != 0:
            yield Symptom("init-container-failing", short(how), grace, (pod,), log)
    elif killed and exit_code in _STOPPED:
        yield Symptom(killed, short(f"{unhealthy} ({how})"), grace, (pod,), log)
    elif crashes or (exit_code not in _STOPPED and reason != "Unknown"):
        yield Symptom("container-crashing", short(how), grace, (pod,), log)


def of_claims(claims: Iterable[Object], events: Sequence[Object]) -> Iterator[Symptom]:
    for claim in objects(claims):
        name, uid = name_of(claim), uid_of(claim)
        phase = text(at(claim, "status", "phase"))
        if at(claim, "metadata", "deletionTimestamp"):
            detail = "the claim is being deleted: the data goes with the pod that still uses it"
            yield Symptom("volume-deletion-pending", detail, 0, (name,))
        elif phase == "Lost":
            yield Symptom("volume-lost", "its PersistentVolume is gone", 0, (name,))
        elif phase != "Bound":
            reasons = [
                symptom
                for reason in ("ProvisioningFailed", "FailedBinding", "ExternalProvisioning")
                for symptom in of_events(uid, name, events, (reason,))
            ][:1]
            if not reasons and at(claim, "spec", "storageClassName") is None:
                message = "no StorageClass is named, and none is the default"
                reasons = [Symptom("storage-class-missing", message, 5, (name,))]
            yield from reasons or [
                Symptom("volume-unbound", "the claim is not bound", 120, (name,))
            ]


def of_events(
    uid: str, name: str, events: Iterable[Object], reasons: Sequence[str]
) -> Iterator[Symptom]:
    """What the newest of an object's events says, unless it got further since."""
    newest = _newest(uid, events, reasons)
    progress = _newest(uid, events, _PROGRESS)
    if newest and order(newest) >= order(progress):
        message = text(newest.get("message"))
        named = (name,) if name else ()
        if cause := cause_of(text(newest.get("reason")), message):
            detail = message.removeprefix("(combined from similar events): ")
            detail = detail.rpartition("failed error: ")[2]
            yield Symptom(cause[0], short(detail), cause[1], named)


def _unhealthy(uid: str, events: Sequence[Object], probe: str) -> str:
    """What a probe of this kind, or any, said at last."""
    own = [each for each in events if text(each.get("message")).lower().startswith(probe)]
    return text(_newest(uid, own, ("Unhealthy",)).get("message"))


def _newest(uid: str, events: Iterable[Object], reasons: Sequence[str]) -> Object:
    own = [
        each
        for each in events
        if uid and at(each, "involvedObject", "uid") == uid and each.get("reason") in reasons
    ]
    return max(own, key=order, default={})


def when(event: Object) -> str:
    """The last time of an event, some to the second and some to the microsecond."""
    return (
        text(at(event, "series", "lastObservedTime"))
        or text(event.get("lastTimestamp"))
        or text(event.get("eventTime"))
    )


def order(event: Object) -> tuple[str, int]:
    """What events sort by: the second, and within it what the API server wrote later."""
    version = text(at(event, "metadata", "resourceVersion"))
    second = when(event)[: len("2026-01-01T00:00:00")]
    return second, int(version) if version.isdecimal() else 0


def _pressure(node: Object) -> str:
    return next((each for each in _PRESSURES if condition(node, each) == "True"), "")


def _first_unready(pod: Object) -> str:
    statuses = objects(at(pod, "status", "containerStatuses"))
    return next((text(each.get("name")) for each in statuses if not each.get("ready")), "")


def is_ready(pod: Object) -> bool:
    """Running, and its Ready condition true."""
    return at(pod, "status", "phase") == "Running" and condition(pod, "Ready") == "True"


def held_up(pod: Object) -> bool:
    return at(pod, "status", "phase") not in ("Running", "Succeeded", "Failed")


def is_stuck(pod: Object) -> bool:
    """Whether a new pod in its place is at least as near to being ready: nothing of this one runs,
    or what runs was started again and again."""
    if not text(at(pod, "spec", "nodeName")) or at(pod, "status", "phase") == "Failed":
        return True
    return not is_ready(pod) and any(
        _is_held(container)
        for kind in ("initContainerStatuses", "containerStatuses")
        for container in objects(at(pod, "status", kind))
    )


def _is_held(container: Object) -> bool:
    waiting = text(at(container, "state", "waiting", "reason"))
    ended = number(at(container, "state", "terminated", "exitCode"))
    again = number(container.get("restartCount")) >= _OFTEN
    return waiting not in ("", *_STARTING) or ended != 0 or again


def claims_of(pods: Iterable[Object], claims: Iterable[Object]) -> list[Object]:
    """The claims that pods name, whoever made and labelled them."""
    names = _claimed(pods)
    return [each for each in objects(claims) if name_of(each) in names]


def _claimed(pods: Iterable[Object]) -> set[str]:
    volumes = [volume for pod in pods for volume in objects(at(pod, "spec", "volumes"))]
    names = {text(at(each, "persistentVolumeClaim", "claimName")) for each in volumes}
    return names - {""}


def _message(reason: str, message: Any) -> str:
    return short(f"{reason}: {text(message)}" if message else reason)


def short(text: str) -> str:
    """One line, cut in the middle: a wrapped error has its cause at the end."""
    line = " ".join(text[:8192].split())
    if len(line) <= _MOST_DETAIL:
        return line
    return f"{line[: _MOST_DETAIL // 2 - 2]} … {line[-(_MOST_DETAIL // 2 - 1) :]}"
