"""What a pod's spec asks for, in cores and bytes, as the scheduler and quotas count it."""

from __future__ import annotations

from decimal import Decimal

from learnflow_infra.kubernetes.objects import Object, at, objects
from learnflow_infra.kubernetes.quantities import amount

RESOURCES = ("cpu", "memory")

Amounts = dict[str, Decimal]


def requests(pod: Object, kind: str = "requests") -> Amounts:
    """A spec's `requests`, or its `limits`: the containers together, or an init container that
    asks for more, and the runtime's overhead."""
    init, main = (list(objects(pod.get(each))) for each in ("initContainers", "containers"))
    beside = [each for each in init if each.get("restartPolicy") == "Always"]
    before = [each for each in init if each not in beside]

    def of(container: Object, name: str) -> Decimal:
        return amount(at(container, "resources", kind, name))

    total = {}
    for name in RESOURCES:
        running = sum((of(each, name) for each in (*main, *beside)), Decimal(0))
        starting = max((of(each, name) for each in before), default=Decimal(0))
        total[name] = max(running, starting) + amount(at(pod, "overhead", name))
    return total
