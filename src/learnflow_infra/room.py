"""Whether what will be added fits: requests against what the nodes have left, volumes against
the classes that exist."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from learnflow_infra import manifests
from learnflow_infra.failures import Failure, Finding, finding
from learnflow_infra.kube import Kube, Object
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings

_DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
_SUFFIXES: dict[str, Decimal] = {
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
}
_RESOURCES = ("cpu", "memory")


def check_room(kube: Kube, settings: Settings, services: Sequence[Service]) -> None:
    """Raise Failure(room-missing, storage-class-missing) where what is missing cannot fit.

    Where the person may not read nodes or pods of the cluster, the scheduler decides instead.
    """
    added = [
        (service, workload, count)
        for service in services
        for workload in service.objects(settings)
        if workload["kind"] == "StatefulSet"
        if (count := workload["spec"]["replicas"] - _present(kube, settings, service)) > 0
    ]
    if not added:
        return
    try:
        nodes = kube.list("Node")
        pods = kube.list("Pod")
        classes = kube.list("StorageClass")
    except Failure as failure:
        if failure.findings[0].code == "permission-missing":
            return
        raise
    needs = [
        (service.name, _requests(workload["spec"]["template"]))
        for service, workload, count in added
        for _ in range(count)
    ]
    found = _too_large(needs, free(nodes, pods))
    for service, workload, _ in added:
        claim = workload["spec"]["volumeClaimTemplates"][0]["spec"]
        found += _no_class(service.name, claim.get("storageClassName"), classes)
    if found:
        raise Failure(*found)


def _present(kube: Kube, settings: Settings, service: Service) -> int:
    selector = manifests.selector_text(service.name)
    return len(kube.list("Pod", settings.cluster.namespace, selector))


def free(nodes: Sequence[Object], pods: Sequence[Object]) -> dict[str, dict[str, Decimal]]:
    """What each schedulable node has left: cores and bytes."""
    left = {
        node["metadata"]["name"]: {
            name: quantity(node["status"]["allocatable"].get(name, "0")) for name in _RESOURCES
        }
        for node in nodes
        if not node.get("spec", {}).get("unschedulable")
    }
    for pod in pods:
        node = left.get(pod.get("spec", {}).get("nodeName", ""))
        if node is not None and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed"):
            for name, value in _requests(pod).items():
                node[name] -= value
    return left


def _requests(pod: Object) -> dict[str, Decimal]:
    containers = pod["spec"]["containers"]
    return {
        name: sum(
            (
                quantity(each.get("resources", {}).get("requests", {}).get(name, "0"))
                for each in containers
            ),
            Decimal(0),
        )
        for name in _RESOURCES
    }


def _too_large(
    needs: Sequence[tuple[str, dict[str, Decimal]]], left: dict[str, dict[str, Decimal]]
) -> list[Finding]:
    """First fit, the largest first: what does not fit so will hardly fit otherwise."""
    remaining = {node: dict(values) for node, values in left.items()}
    found = []
    for service, need in sorted(needs, key=lambda each: each[1]["memory"], reverse=True):
        for values in remaining.values():
            if all(values[name] >= need[name] for name in _RESOURCES):
                for name in _RESOURCES:
                    values[name] -= need[name]
                break
        else:
            best = {
                name: max((values[name] for values in remaining.values()), default=Decimal(0))
                for name in _RESOURCES
            }
            message = f"a pod needs {_amount(need)}; the nodes have left at most {_amount(best)}"
            found.append(finding("room-missing", message, service=service))
    return found


def _amount(values: dict[str, Decimal]) -> str:
    memory = max(values["memory"], Decimal(0)) / 2**20
    return f"{max(values['cpu'], Decimal(0)):.2f} CPU and {memory:.0f} MiB"


def _no_class(service: str, named: str | None, classes: Sequence[Object]) -> list[Finding]:
    names = [each["metadata"]["name"] for each in classes]
    if named is not None:
        if named in names:
            return []
        message = f"there is no StorageClass {named}; there are: {', '.join(names) or 'none'}"
    else:
        if any(
            each["metadata"].get("annotations", {}).get(_DEFAULT_CLASS) == "true"
            for each in classes
        ):
            return []
        message = f"no StorageClass is the default; there are: {', '.join(names) or 'none'}"
    return [finding("storage-class-missing", message[:300], service=service)]


def quantity(text: Any) -> Decimal:
    """A Kubernetes quantity as a number: cores or bytes."""
    value = str(text)
    for suffix in sorted(_SUFFIXES, key=len, reverse=True):
        if value.endswith(suffix):
            return Decimal(value.removesuffix(suffix)) * _SUFFIXES[suffix]
    return Decimal(value)
