"""From the state of a service's objects to findings, as one pure function of what the API showed.

Judged by owners and by container states, never by a pod's phase alone: a finished Job is no
failure, an old stray pod no success. Many symptoms of one cause are one finding, and the cause
that blocks the others comes first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from learnflow_infra.diagnosis.reasons import FOREVER, cause_of_log
from learnflow_infra.diagnosis.symptoms import (
    Log,
    Symptom,
    held_up,
    is_ready,
    of_claims,
    of_events,
    of_pod,
    short,
)
from learnflow_infra.findings.causes import order
from learnflow_infra.findings.failures import Finding, finding
from learnflow_infra.kubernetes.objects import (
    Object,
    at,
    by_name,
    controller,
    name_of,
    number,
    objects,
    uid_of,
)

__all__ = ["Evidence", "State", "findings_of", "is_ready", "judge", "merged"]

_MOST_FINDINGS = 3
_ENDED = ("Succeeded", "Failed")
_REMOVAL_SECONDS = 60.0  # for the controller to remove pods that are no longer wanted


@dataclass(frozen=True)
class Evidence:
    """What is read beside the pods: claims always, the rest where pods do not say why."""

    claims: Iterable[Object] = ()
    events: Iterable[Object] = ()
    nodes: Iterable[Object] = ()
    log: Sequence[str] = ()
    """Lines of the log that a former State asked for, fit to be shown."""


@dataclass(frozen=True)
class State:
    """How far a service's workload is."""

    ready: int
    total: int
    done: bool
    findings: tuple[Finding, ...] = ()
    symptoms: tuple[Symptom, ...] = ()
    unexplained: bool = False
    """Whether a pod is missing or held up, and Evidence may say why."""

    @property
    def final(self) -> bool:
        """Whether the findings can no longer heal by waiting."""
        return any(each.grace <= 0 for each in self.symptoms)

    @property
    def log(self) -> Log | None:
        """The log that says more of the first finding."""
        return self.symptoms[0].log if self.symptoms else None


def judge(
    service: str,
    workload: Object | None,
    pods: Iterable[Object],
    expected: int,
    evidence: Evidence | None = None,
) -> State:
    """Judge a StatefulSet and the pods of its service, of which the settings expect so many."""
    if workload is None:
        symptom = Symptom("not-deployed", f"{service} is not there", 3)
        return State(0, expected, False, findings_of(service, [symptom], ()), (symptom,))
    uid = uid_of(workload)
    revision = at(workload, "status", "updateRevision")
    generation = number(at(workload, "metadata", "generation"))
    observed = number(at(workload, "status", "observedGeneration")) >= generation
    owned = [pod for pod in objects(pods) if uid and controller(pod) == uid]
    living = [pod for pod in owned if not at(pod, "metadata", "deletionTimestamp")]
    current = [
        pod
        for pod in living
        if observed and at(pod, "metadata", "labels", "controller-revision-hash") == revision
    ]
    ready = sum(is_ready(pod) for pod in current)
    known = evidence or Evidence()
    claims, events = list(objects(known.claims)), list(objects(known.events))
    found = [
        *_of_scale(workload, living, expected),
        *_of_strays(uid, pods),
        *of_claims(claims, events),
    ]
    if observed and ready >= expected and not found:
        return State(ready, expected, True)

    unexplained = len(owned) < expected
    if unexplained:
        found += of_events(uid, "", events, ("FailedCreate",))
    nodes = by_name(known.nodes)
    for pod in living:
        if not is_ready(pod):
            symptoms = list(of_pod(service, pod, claims, events, nodes))
            if pod not in current:  # its replacement may do better
                symptoms = [replace(each, grace=FOREVER) for each in symptoms]
            elif held_up(pod) and all(each.grace > 0 for each in symptoms):
                unexplained = True
            found += symptoms
    symptoms = merged(found)
    findings = findings_of(service, symptoms, known.log)
    return State(ready, expected, False, findings, tuple(symptoms), unexplained)


def of_service(workload: Object, pods: Iterable[Object]) -> list[Object]:
    """The StatefulSet's own pods, and any other that its Service would take for one."""
    wanted = at(workload, "spec", "selector", "matchLabels")
    uid = uid_of(workload)

    def belongs(pod: Object) -> bool:
        labels = at(pod, "metadata", "labels")
        carries = isinstance(labels, dict) and isinstance(wanted, dict) and bool(wanted)
        return bool(uid and controller(pod) == uid) or (
            carries and wanted.items() <= labels.items()
        )

    return [pod for pod in objects(pods) if belongs(pod)]


def _of_scale(workload: Object, living: Sequence[Object], expected: int) -> Iterator[Symptom]:
    """Somebody's other number of replicas."""
    replicas = at(workload, "spec", "replicas")
    wanted = 1 if replicas is None else number(replicas)
    if wanted < expected:
        detail = f"scaled to {wanted}, where the settings say {expected}"
        yield Symptom("scaled-down", detail, 0, (f"statefulset/{name_of(workload)}",))
        return
    names = sorted(name_of(pod) for pod in living if at(pod, "status", "phase") not in _ENDED)
    if max(wanted, len(names)) > expected:
        detail = f"{max(wanted, len(names))} pods, where the settings say {expected}"
        grace = 0 if wanted > expected else _REMOVAL_SECONDS
        yield Symptom("too-many-pods", detail, grace, tuple(names[expected:]))


def _of_strays(uid: str, pods: Iterable[Object]) -> Iterator[Symptom]:
    """Pods that the Service sends clients to, as they carry its labels."""
    for pod in objects(pods):
        leaving = at(pod, "metadata", "deletionTimestamp")
        if controller(pod) != uid and is_ready(pod) and not leaving:
            detail = "carries the service's labels and is none of its StatefulSet's pods"
            yield Symptom("stray-pod", detail, 0, (name_of(pod),))


def merged(symptoms: Sequence[Symptom], most: int = _MOST_FINDINGS) -> list[Symptom]:
    """One symptom a cause, the most blocking first. What only says that a claim is not bound
    yet is left out where something says why, and what follows from another is."""
    by_cause: dict[tuple[str, str], Symptom] = {}
    for each in symptoms:
        detail = each.detail
        for name in each.objects:
            detail = detail.replace(name, "")
        # A pod that could not be created is named with a random end.
        key = (each.code, re.sub(r'\d+|(?<=pods )"[^"]*"', "", detail))
        if (same := by_cause.get(key)) is None:
            by_cause[key] = each
        else:
            names = tuple(dict.fromkeys((*same.objects, *each.objects)))
            by_cause[key] = replace(same, objects=names, grace=min(same.grace, each.grace))
    # What cannot heal by itself first; a claim is often unbound because its pod has no node.
    ordered = sorted(by_cause.values(), key=lambda each: (each.grace == FOREVER, order(each.code)))
    causes: list[Symptom] = []
    for each in ordered:
        if not any(_follows(each, cause) for cause in causes):
            causes.append(each)
    telling = [each for each in causes if each.code != "volume-unbound"]
    return (telling or causes[:1])[:most]


def _follows(symptom: Symptom, cause: Symptom) -> bool:
    """Whether a symptom says of another's object what that says itself, as a pod does of its
    claim."""
    named = any(name and name in symptom.detail for name in cause.objects)
    return symptom.code == cause.code and named


def findings_of(
    service: str | None, symptoms: Sequence[Symptom], log: Sequence[str]
) -> tuple[Finding, ...]:
    """The findings that merged symptoms are, the first that has a log with lines of it."""
    found = []
    talking = next((each for each in symptoms if each.log), None)
    for each in symptoms:
        code, message = each.code, f"{_named(each.objects)}{each.detail}"
        if each is talking and log:
            lines = " ".join(log)
            message += f"; its log: {lines}"
            code = cause_of_log(lines) or code
        found.append(finding(code, message, service=service))
    return tuple(found)


def _named(objects: Sequence[str]) -> str:
    if not objects:
        return ""
    more = f" and {len(objects) - 1} more" if len(objects) > 1 else ""
    return f"{short(objects[0])}{more}: "
