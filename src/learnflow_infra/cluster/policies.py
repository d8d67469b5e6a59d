"""Whether a cluster's network enforces NetworkPolicies. The API takes them either way."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from learnflow_infra.cluster import Provider
from learnflow_infra.cluster.local import LocalCluster
from learnflow_infra.cluster.minikube import Minikube
from learnflow_infra.findings.failures import Failure
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, name_of, number, objects, text

Enforced = Literal["yes", "no", "unknown"]

# DaemonSets whose every version enforces them, by the name that their own manifests give.
_ENFORCING = {"antrea-agent", "calico-node", "canal", "cilium"}
# Containers that do so beside a network that does not.
_BESIDE = {"kube-network-policies", "weave-npc"}
# kindnetd is named after its day. The network of kind does since v0.24.0 and not in v0.23.0, whose
# images these are: https://github.com/kubernetes-sigs/kind/issues/842
_KINDNET = re.compile(r"kindest/kindnetd:v(\d{8})-")
_KINDNET_SINCE, _KINDNET_NOT_YET = "20240813", "20240513"


def enforced(provider: Provider, kube: Kube) -> tuple[Enforced, str]:
    """The answer, and by what or why; "unknown" where nothing that is known tells."""
    if isinstance(provider, LocalCluster):
        return "yes", "the local cluster's own"
    try:
        found = kube.list("DaemonSet")
    except Failure as error:
        return "unknown", f"its DaemonSets cannot be listed ({error})"
    return enforcement(found, minikube=isinstance(provider, Minikube))


def enforcement(daemon_sets: Iterable[Object], *, minikube: bool) -> tuple[Enforced, str]:
    """What the DaemonSets of a cluster tell of its network."""
    answers: dict[Enforced, str] = {}
    for each in daemon_sets:
        name = name_of(each)
        containers = list(objects(at(each, "spec", "template", "spec", "containers")))
        verdict = _enforcement(name, containers, minikube)
        if verdict and number(at(each, "status", "numberReady")) > 0:
            answers.setdefault(verdict, name)
    for verdict in ("yes", "unknown", "no"):
        if verdict in answers:
            return verdict, answers[verdict]
    if minikube:  # whose own networks without a DaemonSet are the container runtime's bridges
        return "no", "a plain bridge"
    return "unknown", "no network that is known here"


def _enforcement(name: str, containers: list[Object], minikube: bool) -> Enforced | None:
    given = (each.get("args") for each in containers)
    arguments = [word for each in given if isinstance(each, list) for word in each]
    if name in _ENFORCING or any(text(each.get("name")) in _BESIDE for each in containers):
        return "yes"
    if name == "kube-router":
        return "no" if "--run-firewall=false" in arguments else "yes"
    if name.startswith("kube-flannel"):
        return "no"
    if name == "kindnet":
        images = (text(each.get("image")) for each in containers)
        day = next((m[1] for image in images if (m := _KINDNET.search(image))), None)
        if day is None or _KINDNET_NOT_YET < day < _KINDNET_SINCE:
            return "unknown"
        if day <= _KINDNET_NOT_YET:
            return "no"
        return "unknown" if minikube else "yes"  # it needs rights that Minikube may not give it
    return None
