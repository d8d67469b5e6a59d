"""What a cluster's DaemonSets tell of its network."""

from __future__ import annotations

from typing import Any

import pytest

from learnflow_infra.cluster.policies import enforcement


def _set(name: str, image: str = "some", *arguments: str, ready: int = 1, beside: str = "") -> Any:
    containers = [{"name": "main", "image": image, "args": list(arguments)}]
    if beside:
        containers.append({"name": beside, "image": "other"})
    return {
        "metadata": {"name": name},
        "spec": {"template": {"spec": {"containers": containers}}},
        "status": {"numberReady": ready},
    }


PROXY = _set("kube-proxy")


@pytest.mark.parametrize(
    ("found", "minikube", "expected"),
    [
        ([PROXY, _set("calico-node")], True, "yes"),
        ([PROXY, _set("cilium")], False, "yes"),
        ([_set("calico-node", ready=0)], False, "unknown"),
        ([_set("canal")], False, "yes"),
        ([_set("weave-net", beside="weave-npc")], False, "yes"),
        ([_set("kube-router", "some", "--run-router=true")], False, "yes"),
        ([_set("kube-router", "some", "--run-firewall=false")], False, "no"),
        ([_set("kube-flannel-ds")], False, "no"),
        ([_set("kube-flannel-ds", beside="kube-network-policies")], False, "yes"),
        ([_set("kindnet", "docker.io/kindest/kindnetd:v20250512-df8de77b")], False, "yes"),
        ([_set("kindnet", "docker.io/kindest/kindnetd:v20250512-df8de77b")], True, "unknown"),
        ([_set("kindnet", "docker.io/kindest/kindnetd:v20240513-cd2ac642")], True, "no"),
        ([_set("kindnet", "docker.io/kindest/kindnetd:v20240725-00000000")], False, "unknown"),
        ([_set("kindnet", "example.org/kindnetd:stable")], False, "unknown"),
        ([PROXY], True, "no"),
        ([PROXY], False, "unknown"),
    ],
)
def test_only_what_is_known_is_said(found: list[Any], minikube: bool, expected: str) -> None:
    assert enforcement(found, minikube=minikube)[0] == expected
