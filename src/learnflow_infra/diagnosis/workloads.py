"""What stands in a namespace and what is wrong with it, as a pure function of what the API showed.

A pod is judged under what controls it in the end: a Deployment, not its ReplicaSet. What may still
heal by itself, since it is younger than that takes, is no symptom yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from learnflow_infra.diagnosis.state import Evidence
from learnflow_infra.diagnosis.symptoms import (
    Symptom,
    claims_of,
    is_ready,
    of_claims,
    of_events,
    of_pod,
    short,
)
from learnflow_infra.kubernetes.objects import (
    Object,
    at,
    by_name,
    condition,
    controller,
    name_of,
    number,
    objects,
    text,
    uid_of,
)

KINDS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job")
# Nothing that starts is called unready before, unless it has restarted again and again.
_STARTING_SECONDS = 60.0

Objects = Mapping[str, Sequence[Object]]
"""By kind: those of KINDS, and Pod."""


@dataclass
class Workload:
    """What controls pods, or a pod that nothing controls."""

    kind: str
    item: Object
    pods: list[Object] = field(default_factory=list)
    """Those that are not being deleted."""
    makers: list[Object] = field(default_factory=list)
    """Whose events say why a pod is not created."""

    @property
    def name(self) -> str:
        return f"{self.kind.lower()}/{name_of(self.item)}"

    @property
    def expected(self) -> int:
        """How many pods are to be ready; 0 where that is not told by a number."""
        if self.kind == "DaemonSet":
            return number(at(self.item, "status", "desiredNumberScheduled"))
        if self.kind in ("Deployment", "ReplicaSet", "StatefulSet"):
            replicas = at(self.item, "spec", "replicas")
            return 1 if replicas is None else number(replicas)
        return 0

    @property
    def ready(self) -> int:
        return sum(is_ready(pod) for pod in self.pods)

    @property
    def unsettled(self) -> list[Object]:
        """What may be wrong: pods that are neither ready nor done, and who lacks some."""
        if _over(self.item) or at(self.item, "spec", "suspend"):
            return []
        lacking = len(self.pods) < self.expected or (self.kind == "Job" and not self.pods)
        replaced = self.kind == "Job" or 0 < self.expected <= self.ready
        gone = ("Succeeded", "Failed") if replaced else ("Succeeded",)
        pods = [pod for pod in self.pods if at(pod, "status", "phase") not in gone]
        return [each for each in pods if not is_ready(each)] + (self.makers if lacking else [])


def found(listed: Objects) -> list[Workload]:
    """The workloads of a namespace. Of a CronJob's Jobs, the newest alone."""
    owners = {uid_of(item): (kind, item) for kind in KINDS for item in listed.get(kind, ())}
    made: dict[str, Workload] = {}
    for uid, (kind, item) in owners.items():
        root = _root(uid, owners)
        top = made.setdefault(root, Workload(*owners[root]))
        if kind != "Deployment" and at(item, "spec", "replicas") != 0:
            top.makers.append(item)
    for pod in listed.get("Pod", ()):
        if at(pod, "metadata", "deletionTimestamp"):
            continue
        above = controller(pod)
        root = _root(above, owners) if above in owners else uid_of(pod)
        made.setdefault(root, Workload("Pod", pod)).pods.append(pod)
    newest: dict[str, str] = {}
    for root, each in made.items():
        if each.kind == "Job" and (cron := controller(each.item)):
            newest[cron] = max(newest.get(cron, root), root, key=lambda one: _made(made[one].item))
    return [
        each
        for root, each in made.items()
        if newest.get(controller(each.item) if each.kind == "Job" else "", root) == root
    ]


def symptoms(workload: Workload, evidence: Evidence, now: datetime) -> Iterator[Symptom]:
    """What is wrong with a workload, and no longer new."""
    events = list(objects(evidence.events))
    nodes = by_name(evidence.nodes)
    if workload.kind == "Job" and condition(workload.item, "Failed") == "True":
        yield Symptom("job-failed", _why_failed(workload.item), 0, (workload.name,))
    for item in workload.unsettled:
        where = workload.name
        if item in workload.makers:
            reasons = [*of_events(uid_of(item), "", events, ("FailedCreate",))]
        else:
            claims = claims_of([item], evidence.claims)
            reasons = [*of_claims(claims, events), *of_pod("", item, claims, events, nodes)]
            silent = "not ready, and nothing says why"
            reasons = reasons or [Symptom("pods-not-ready", silent, _STARTING_SECONDS)]
            if workload.kind != "Pod":
                where = f"{name_of(item)} of {workload.name}"
        age = (now - _since(item)).total_seconds()
        starting = 0.0 if _restarts(item) > 1 else _STARTING_SECONDS
        for each in reasons:
            if age >= min(each.grace, starting):
                yield replace(each, objects=(where,))


def unserved(services: Iterable[Object], listed: Objects) -> Iterator[Symptom]:
    """Services whose selector fits neither a pod nor what a workload would make."""
    labels = [at(pod, "metadata", "labels") for pod in listed.get("Pod", ())]
    for kind in KINDS:
        for item in listed.get(kind, ()):
            labels.append(at(item, "spec", "template", "metadata", "labels"))
    for service in services:
        selector = at(service, "spec", "selector")
        if not selector or not isinstance(selector, dict):
            continue
        if not any(isinstance(each, dict) and selector.items() <= each.items() for each in labels):
            wanted = ", ".join(f"{key}={value}" for key, value in selector.items())
            name = f"service/{name_of(service)}"
            detail = short(f"no pod has {wanted}")
            yield Symptom("service-without-endpoints", detail, 0, (name,))


def _root(uid: str, owners: Mapping[str, tuple[str, Object]]) -> str:
    """The last of the owners that are known."""
    for _ in range(5):
        above = controller(owners[uid][1])
        if above not in owners:
            break
        uid = above
    return uid


def _over(item: Object) -> bool:
    return any(condition(item, kind) == "True" for kind in ("Complete", "Failed"))


def _why_failed(job: Object) -> str:
    for each in objects(at(job, "status", "conditions")):
        if each.get("type") == "Failed":
            return short(f"{text(each.get('reason'))}: {text(each.get('message'))}")
    return ""


def _restarts(item: Object) -> int:
    statuses = objects(at(item, "status", "containerStatuses"))
    return max((number(each.get("restartCount")) for each in statuses), default=0)


def _made(item: Object) -> datetime:
    return _moment(at(item, "metadata", "creationTimestamp"))


def _since(item: Object) -> datetime:
    """Since when it is as it is: ready no longer, else there at all."""
    for each in objects(at(item, "status", "conditions")):
        if each.get("type") == "Ready" and each.get("lastTransitionTime"):
            return _moment(each["lastTransitionTime"])
    return _made(item)


def _moment(value: object) -> datetime:
    try:
        moment = datetime.fromisoformat(text(value))
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
