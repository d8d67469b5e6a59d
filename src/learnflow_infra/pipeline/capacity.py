"""Whether what is added or replaced fits: requests against what the nodes have left, volumes
against the classes that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import (
    Object,
    at,
    mapping,
    name_of,
    objects,
    satisfied,
    text,
    uid_of,
)
from learnflow_infra.kubernetes.pod_resources import RESOURCES, Amounts, requests
from learnflow_infra.kubernetes.quantities import amount
from learnflow_infra.pipeline.quotas import exceeded
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_MOST_NODES = 3
# What Cluster Autoscaler (its status, by default there), Karpenter and EKS Auto Mode leave behind.
_AUTOSCALER = "cluster-autoscaler-status"
_SCALERS = ("cluster-autoscaler.kubernetes.io/", "karpenter.sh/", "eks.amazonaws.com/compute-type")
# Less than this left is tight.
_TIGHT_SHARE = Decimal("0.1")
_TIGHT_BYTES = Decimal(256 * 2**20)


@dataclass(frozen=True)
class Capacity:
    """How it fits, in a sentence."""

    message: str
    note: str = ""
    """What a person should know although it fits: that it does so tightly, or is not known."""


@dataclass(frozen=True)
class _Change:
    """What a service's pods will need, and those that make room for it."""

    service: str
    workload: Object
    """As it is desired."""
    count: int
    """How many pods are to be made."""
    replaced: Sequence[Object]
    """The pods that go for it."""


def check_capacity(kube: Kube, settings: Settings, services: Sequence[Service]) -> Capacity:
    """Raise Failure(quota-exceeded, room-missing, unschedulable-taint, storage-class-missing) where
    the pods that are missing, or that a change replaces, cannot fit.

    Where the person may not read nodes or pods of the cluster, the scheduler decides instead; a
    cluster that scales itself may make room.
    """
    namespace = settings.cluster.namespace
    changes = [
        change
        for service in services
        for workload in service.objects(settings)
        if workload["kind"] == "StatefulSet"
        if (change := _change(kube, namespace, service.name, workload)).count
    ]
    if not changes:
        return Capacity("all pods are there")
    if found := _beyond_quotas(kube, namespace, changes):
        raise Failure(*found)
    try:
        nodes, pods, classes = kube.list("Node"), kube.list("Pod"), kube.list("StorageClass")
    except Failure as failure:
        if failure.findings[0].code == "permission-missing":
            return Capacity(
                failure.findings[0].message, "capacity not known: permission is missing"
            )
        raise
    found, capacity = _fit(changes, nodes, pods)
    if found and (how := _scales_itself(kube, nodes)):
        capacity = Capacity(found[0].message, f"{found[0].message}; the cluster scales: {how}")
        found = []
    for change in changes:
        if not (templates := change.workload["spec"].get("volumeClaimTemplates")):
            continue
        claims = kube.list(
            "PersistentVolumeClaim", namespace, manifests.selector_text(change.service)
        )
        if len(claims) < change.workload["spec"]["replicas"]:
            named = templates[0]["spec"].get("storageClassName")
            found += _no_class(change.service, named, classes)
    if found:
        raise Failure(*found)
    return capacity


def _beyond_quotas(kube: Kube, namespace: str, changes: Sequence[_Change]) -> list[Finding]:
    try:
        quotas = kube.list("ResourceQuota", namespace)
    except Failure as failure:
        if failure.findings[0].code == "permission-missing":  # a Role of an earlier version
            return []
        raise
    if not quotas:
        return []
    going = {uid_of(pod) for change in changes for pod in change.replaced}
    staying = [pod for pod in kube.list("Pod", namespace) if uid_of(pod) not in going]
    added = [
        change.workload["spec"]["template"]["spec"]
        for change in changes
        for _ in range(change.count)
    ]
    return exceeded(quotas, staying, added, _names(changes))


def _names(changes: Sequence[_Change]) -> str:
    return ", ".join(dict.fromkeys(change.service for change in changes))


def _change(kube: Kube, namespace: str, service: str, workload: Object) -> _Change:
    name = name_of(workload)
    pods = kube.list("Pod", namespace, manifests.selector_text(name))
    missing = max(workload["spec"]["replicas"] - len(pods), 0)
    live = kube.get("StatefulSet", namespace, name)
    template = workload["spec"]["template"]
    if live is None or satisfied(template, at(live, "spec", "template")):
        return _Change(service, workload, missing, ())
    return _Change(service, workload, workload["spec"]["replicas"], pods)


def free(nodes: Sequence[Object], pods: Sequence[Object]) -> dict[str, Amounts]:
    """What each node that takes pods has left: cores and bytes."""
    left = _allocatable(nodes)
    for pod in pods:
        node = left.get(text(at(pod, "spec", "nodeName")))
        if node is not None and at(pod, "status", "phase") not in ("Succeeded", "Failed"):
            for name, value in requests(mapping(at(pod, "spec"))).items():
                node[name] -= value
    return left


def _allocatable(nodes: Sequence[Object]) -> dict[str, Amounts]:
    return {
        name_of(node): {name: amount(at(node, "status", "allocatable", name)) for name in RESOURCES}
        for node in nodes
        if not _keeps_off(node)
    }


def _keeps_off(node: Object) -> str:
    """Why a node takes no new pods of ours, which tolerate nothing. What Kubernetes itself taints
    a node for may pass, and the scheduler tells it."""
    if at(node, "spec", "unschedulable"):
        return "cordoned"
    return next(
        (
            f"tainted {key}"
            for each in objects(at(node, "spec", "taints"))
            if each.get("effect") in ("NoSchedule", "NoExecute")
            and not (key := text(each.get("key"))).startswith("node.kubernetes.io/")
        ),
        "",
    )


def _scales_itself(kube: Kube, nodes: Sequence[Object]) -> str:
    """By what the cluster adds nodes, where that can be seen."""
    for node in nodes:
        for marks in ("labels", "annotations"):
            for key in mapping(at(node, "metadata", marks)):
                if key.startswith(_SCALERS):
                    return key
    try:
        status = kube.get("ConfigMap", "kube-system", _AUTOSCALER)
    except Failure as failure:
        if failure.findings[0].code == "permission-missing":  # most people's is
            return ""
        raise
    return "" if status is None else _AUTOSCALER


def _fit(
    changes: Sequence[_Change], nodes: Sequence[Object], pods: Sequence[Object]
) -> tuple[list[Finding], Capacity]:
    """First fit, the largest first: what does not fit so will hardly fit otherwise."""
    needs = [
        (change.service, requests(change.workload["spec"]["template"]["spec"]))
        for change in changes
        for _ in range(change.count)
    ]
    services = _names(changes)
    kept_off = {name_of(each): _keeps_off(each) for each in nodes}
    if nodes and all(kept_off.values()):
        why = ", ".join(f"{name} is {reason}" for name, reason in [*kept_off.items()][:_MOST_NODES])
        message = f"no node takes pods: {why}"
        return [finding("unschedulable-taint", message, service=services)], Capacity(message)
    going = {uid_of(pod) for change in changes for pod in change.replaced}
    left = free(nodes, [pod for pod in pods if uid_of(pod) not in going])
    remaining = {node: dict(values) for node, values in left.items()}
    unplaced = []
    for service, need in sorted(needs, key=lambda each: each[1]["memory"], reverse=True):
        for values in remaining.values():
            if all(values[name] >= need[name] for name in RESOURCES):
                for name in RESOURCES:
                    values[name] -= need[name]
                break
        else:
            unplaced.append(service)
    sum_ = {name: sum((need[name] for _, need in needs), Decimal(0)) for name in RESOURCES}
    wanted = f"{len(needs)} pods need {_amount(sum_)}"
    if unplaced:
        service = ", ".join(dict.fromkeys(unplaced))
        message = f"{wanted}; left{' once they are replaced' if going else ''}: {_amounts(left)}"
        return [finding("room-missing", message, service=service)], Capacity(message)
    return [], Capacity(f"{wanted}; then left: {_amounts(remaining)}", _tight(remaining, nodes))


def _tight(remaining: Mapping[str, Amounts], nodes: Sequence[Object]) -> str:
    """What the roomiest node keeps, where none keeps a tenth of both and 256 MiB."""
    for node, whole in _allocatable(nodes).items():
        left = remaining[node]
        enough = all(left[name] >= whole[name] * _TIGHT_SHARE for name in RESOURCES)
        if enough and left["memory"] >= _TIGHT_BYTES:
            return ""
    most = max(remaining.values(), key=lambda each: each["memory"])
    return f"tight: {_amount(most)} left"


def _amounts(nodes: Mapping[str, Amounts]) -> str:
    """Those of the roomiest nodes."""
    roomiest = sorted(nodes.items(), key=lambda each: each[1]["memory"], reverse=True)
    listed = [f"{_amount(values)} on {node}" for node, values in roomiest[:_MOST_NODES]]
    if len(roomiest) > len(listed):
        listed.append(f"less on {len(roomiest) - len(listed)} more")
    return ", ".join(listed) or "no node takes pods"


def _amount(values: Amounts) -> str:
    memory = max(values["memory"], Decimal(0)) / 2**20
    return f"{max(values['cpu'], Decimal(0)):.2f} CPU and {memory:.0f} MiB"


def _no_class(service: str, named: str | None, classes: Sequence[Object]) -> list[Finding]:
    names = [name_of(each) for each in classes]
    if named is not None:
        if named in names:
            return []
        message = f"there is no StorageClass {named}; there are: {', '.join(names) or 'none'}"
    else:
        if any(is_default(each) for each in classes):
            return []
        message = f"no StorageClass is the default; there are: {', '.join(names) or 'none'}"
    return [finding("storage-class-missing", message[:300], service=service)]


def is_default(storage_class: Object) -> bool:
    return bool(at(storage_class, "metadata", "annotations", _DEFAULT_CLASS) == "true")
