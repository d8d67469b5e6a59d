"""Whether what will be added fits: requests against what the nodes have left, volumes against
the classes that exist."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.quantities import quantity
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_RESOURCES = ("cpu", "memory")
# Less than this left is tight.
_TIGHT_SHARE = Decimal("0.1")
_TIGHT_BYTES = Decimal(256 * 2**20)

Amounts = dict[str, Decimal]


@dataclass(frozen=True)
class Capacity:
    """How it fits, in a sentence."""

    message: str
    note: str = ""
    """What a person should know although it fits: that it does so tightly, or is not known."""


def check_capacity(kube: Kube, settings: Settings, services: Sequence[Service]) -> Capacity:
    """Raise Failure(room-missing, storage-class-missing) where what is missing cannot fit.

    Where the person may not read nodes or pods of the cluster, the scheduler decides instead.
    """
    namespace = settings.cluster.namespace
    added = [
        (service, workload, count)
        for service in services
        for workload in service.objects(settings)
        if workload["kind"] == "StatefulSet"
        if (count := workload["spec"]["replicas"] - _present(kube, "Pod", namespace, service)) > 0
    ]
    if not added:
        return Capacity("all pods are there")
    try:
        nodes, pods, classes = kube.list("Node"), kube.list("Pod"), kube.list("StorageClass")
    except Failure as failure:
        if failure.findings[0].code == "permission-missing":
            return Capacity(
                failure.findings[0].message, "capacity not known: permission is missing"
            )
        raise
    if nodes and all(each.get("spec", {}).get("unschedulable") for each in nodes):
        names = ", ".join(each["metadata"]["name"] for each in nodes[:3])
        raise Failure(finding("unschedulable-taint", f"every node is cordoned: {names}"))
    needs = [
        (service.name, requests(workload["spec"]["template"]["spec"]))
        for service, workload, count in added
        for _ in range(count)
    ]
    found, capacity = _fit(needs, nodes, pods)
    for service, workload, _ in added:
        claim = workload["spec"]["volumeClaimTemplates"][0]["spec"]
        replicas = workload["spec"]["replicas"]
        if _present(kube, "PersistentVolumeClaim", namespace, service) < replicas:
            found += _no_class(service.name, claim.get("storageClassName"), classes)
    if found:
        raise Failure(*found)
    return capacity


def _present(kube: Kube, kind: str, namespace: str, service: Service) -> int:
    return len(kube.list(kind, namespace, manifests.selector_text(service.name)))


def free(nodes: Sequence[Object], pods: Sequence[Object]) -> dict[str, Amounts]:
    """What each schedulable node has left: cores and bytes."""
    left = _allocatable(nodes)
    for pod in pods:
        node = left.get(pod.get("spec", {}).get("nodeName", ""))
        if node is not None and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            for name, value in requests(pod["spec"]).items():
                node[name] -= value
    return left


def _allocatable(nodes: Sequence[Object]) -> dict[str, Amounts]:
    return {
        node["metadata"]["name"]: {
            name: quantity(node["status"].get("allocatable", {}).get(name, "0"))
            for name in _RESOURCES
        }
        for node in nodes
        if not node.get("spec", {}).get("unschedulable")
    }


def requests(pod: Object) -> Amounts:
    """What the scheduler counts for a pod's spec: the containers together, or an init container
    that asks for more, and the runtime's overhead."""
    init = pod.get("initContainers") or ()
    beside = [each for each in init if each.get("restartPolicy") == "Always"]
    before = [each for each in init if each not in beside]
    total = {}
    for name in _RESOURCES:
        running = sum((_request(each, name) for each in (*pod["containers"], *beside)), Decimal(0))
        starting = max((_request(each, name) for each in before), default=Decimal(0))
        total[name] = max(running, starting) + quantity(pod.get("overhead", {}).get(name, "0"))
    return total


def _request(container: Object, name: str) -> Decimal:
    return quantity(container.get("resources", {}).get("requests", {}).get(name, "0"))


def _fit(
    needs: Sequence[tuple[str, Amounts]], nodes: Sequence[Object], pods: Sequence[Object]
) -> tuple[list[Finding], Capacity]:
    """First fit, the largest first: what does not fit so will hardly fit otherwise."""
    left = free(nodes, pods)
    remaining = {node: dict(values) for node, values in left.items()}
    unplaced = []
    for service, need in sorted(needs, key=lambda each: each[1]["memory"], reverse=True):
        for values in remaining.values():
            if all(values[name] >= need[name] for name in _RESOURCES):
                for name in _RESOURCES:
                    values[name] -= need[name]
                break
        else:
            unplaced.append(service)
    sum_ = {name: sum((need[name] for _, need in needs), Decimal(0)) for name in _RESOURCES}
    wanted = f"{len(needs)} pods need {_amount(sum_)}"
    if unplaced:
        service = ", ".join(dict.fromkeys(unplaced))
        message = f"{wanted}; left: {_amounts(left)}"
        return [finding("room-missing", message, service=service)], Capacity(message)
    return [], Capacity(f"{wanted}; then left: {_amounts(remaining)}", _tight(remaining, nodes))


def _tight(remaining: Mapping[str, Amounts], nodes: Sequence[Object]) -> str:
    """What the roomiest node keeps, where none keeps a tenth of both and 256 MiB."""
    for node, whole in _allocatable(nodes).items():
        left = remaining[node]
        enough = all(left[name] >= whole[name] * _TIGHT_SHARE for name in _RESOURCES)
        if enough and left["memory"] >= _TIGHT_BYTES:
            return ""
    most = max(remaining.values(), key=lambda each: each["memory"])
    return f"tight: {_amount(most)} left"


def _amounts(nodes: Mapping[str, Amounts]) -> str:
    """Those of the roomiest nodes."""
    roomiest = sorted(nodes.items(), key=lambda each: each[1]["memory"], reverse=True)
    listed = [f"{_amount(values)} on {node}" for node, values in roomiest[:3]]
    if len(roomiest) > len(listed):
        listed.append(f"less on {len(roomiest) - len(listed)} more")
    return ", ".join(listed) or "no node takes pods"


def _amount(values: Amounts) -> str:
    memory = max(values["memory"], Decimal(0)) / 2**20
    return f"{max(values['cpu'], Decimal(0)):.2f} CPU and {memory:.0f} MiB"


def _no_class(service: str, named: str | None, classes: Sequence[Object]) -> list[Finding]:
    names = [each["metadata"]["name"] for each in classes]
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
    return bool(storage_class["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true")
