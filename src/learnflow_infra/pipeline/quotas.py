"""Whether the namespace's ResourceQuotas leave room for a change, before a pod goes for it.

What is used is counted by the pods that are there: a quota's own status lags behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from learnflow_infra.findings.failures import Finding, finding
from learnflow_infra.kubernetes.objects import Object, at, mapping, name_of
from learnflow_infra.kubernetes.pod_resources import RESOURCES, Amounts, requests
from learnflow_infra.kubernetes.quantities import amount

_ENDED = ("Succeeded", "Failed")


def exceeded(
    quotas: Sequence[Object], staying: Sequence[Object], added: Sequence[Object], services: str
) -> list[Finding]:
    """The finding of the first quota that the specs `added` to the pods `staying` exceed.

    One with scopes counts some pods only, and is left to the API server.
    """
    living = [each for each in staying if at(each, "status", "phase") not in _ENDED]
    used = _counted([mapping(each.get("spec")) for each in living])
    more = _counted(added)
    for quota in quotas:
        spec = mapping(quota.get("spec"))
        if spec.get("scopes") or spec.get("scopeSelector"):
            continue
        for key, hard in mapping(spec.get("hard")).items():
            name = f"requests.{key}" if key in RESOURCES else key.removeprefix("count/")
            if more.get(name) and used[name] + more[name] > amount(hard):
                message = (
                    f"ResourceQuota {name_of(quota)}: {name}={_shown(name, more[name])} more is "
                    f"needed, and {_shown(name, used[name])} of {hard} is in use"
                )
                return [finding("quota-exceeded", message, service=services)]
    return []


def _counted(pods: Sequence[Object]) -> Amounts:
    """By the names that quotas give them."""
    total = {"pods": Decimal(len(pods))}
    for kind in ("requests", "limits"):
        of_each = [requests(each, kind) for each in pods]
        for name in RESOURCES:
            total[f"{kind}.{name}"] = sum((each[name] for each in of_each), Decimal(0))
    return total


def _shown(name: str, value: Decimal) -> str:
    return f"{value / 2**20:.0f}Mi" if name.endswith("memory") else f"{value.normalize():f}"
