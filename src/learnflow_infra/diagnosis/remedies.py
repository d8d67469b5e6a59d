"""Remedies that the settings decide: what the table advises would lead nowhere, or can be said as
a command."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import replace
from decimal import Decimal

from learnflow_infra.findings.failures import Finding
from learnflow_infra.kubernetes.quantities import quantity
from learnflow_infra.settings import Settings

_PACKAGES = "set images.source to packages"
_BUILT = (
    "Run `learnflow-infra up`, which loads the image that it builds from packages, or says how. If "
    "the pod's image is not the settings', look for what changes it."
)
_UNSPECIFIED = re.compile(r"must specify ([\w.,-]+)")
_CPU = Decimal(2)
_GIB = 2**30


def fitting(found: Finding, settings: Settings) -> Finding:
    """A finding with the remedy that helps with these settings."""
    if _PACKAGES in found.remedy and settings.images.source == "packages":
        return replace(found, remedy=_BUILT)
    if found.code == "quota-unspecified" and (named := _UNSPECIFIED.search(found.message)):
        return replace(found, remedy=_limit_range(named[1].split(","), settings))
    return found


def _limit_range(names: list[str], settings: Settings) -> str:
    """A LimitRange with defaults for what a quota counts and the pods do not ask for."""
    resources = {name.rpartition(".")[2] for name in names}
    most = max(quantity(each.cpu) for each in settings.services.values())
    amounts = {"cpu": f"{max(_CPU, most).normalize():f}", "ephemeral-storage": str(_GIB)}
    defaults = {name: amounts[name] for name in sorted(resources) if name in amounts}
    limit = {"type": "Container", "default": defaults}
    manifest = {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults", "namespace": settings.cluster.namespace},
        "spec": {"limits": [limit]},
    }
    command = f"echo {shlex.quote(json.dumps(manifest))} | kubectl apply -f -"
    return f"Give the namespace a default for it: `{command}`; then run `learnflow-infra up`."
