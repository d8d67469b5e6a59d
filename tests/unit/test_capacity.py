"""Whether what will be added fits."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import parse_qs

import pytest
from fake_api import Answer, kube, listed, status

from learnflow_infra.findings.failures import Failure
from learnflow_infra.kubernetes.pod_resources import requests
from learnflow_infra.pipeline.capacity import Capacity, check_capacity, free
from learnflow_infra.services import registry
from learnflow_infra.settings import parse


def pod(node: str, phase: str, memory: str) -> dict[str, Any]:
    container = {"resources": {"requests": {"memory": memory}}}
    return {"spec": {"nodeName": node, "containers": [container]}, "status": {"phase": phase}}


def test_finished_pods_and_cordoned_nodes_do_not_count() -> None:
    allocatable = {"cpu": "2", "memory": "1Gi"}
    nodes = [
        {"metadata": {"name": "a"}, "spec": {}, "status": {"allocatable": allocatable}},
        {
            "metadata": {"name": "b"},
            "spec": {"unschedulable": True},
            "status": {"allocatable": allocatable},
        },
    ]
    pods = [pod("a", "Running", "256Mi"), pod("a", "Succeeded", "512Mi"), pod("b", "Running", "1")]
    assert free(nodes, pods) == {"a": {"cpu": Decimal(2), "memory": Decimal(768 * 2**20)}}


def container(cpu: str, **more: str) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}} | more


def test_a_pod_asks_for_what_the_scheduler_counts() -> None:
    spec = {
        "initContainers": [container("900m"), container("100m", restartPolicy="Always")],
        "containers": [container("200m"), container("300m")],
        "overhead": {"cpu": "50m"},
    }
    assert requests(spec)["cpu"] == Decimal("0.95")
    assert requests(spec | {"initContainers": []})["cpu"] == Decimal("0.55")


POSTGRES = registry.find("postgres")
CONFIG_MAP = '{"kind": "ConfigMap"}'
NO_RIGHT = 'configmaps "it" is forbidden: User "me" cannot get resource "configmaps"'


def node(name: str = "a", memory: str = "4Gi", **spec: Any) -> dict[str, Any]:
    allocatable = {"cpu": "4", "memory": memory}
    return {"metadata": {"name": name}, "spec": spec, "status": {"allocatable": allocatable}}


def tainted(effect: str, key: str = "reserved") -> dict[str, Any]:
    return node(taints=[{"key": key, "effect": effect}])


class Cluster:
    """PostgreSQL, deployed with so much memory or not at all, on these nodes."""

    def __init__(self, *nodes: dict[str, Any], deployed: str = "", scaler: bool = False) -> None:
        self.nodes, self.scaler = nodes, scaler
        self.quotas: list[dict[str, Any]] = []
        self.workloads: dict[str, dict[str, Any]] = {}
        self.pods: dict[str, dict[str, Any]] = {}
        for workload in self.desired(deployed) if deployed else ():
            name = workload["metadata"]["name"]
            spec = workload["spec"]["template"]["spec"] | {"nodeName": "a"}
            self.workloads[name] = workload
            metadata = {"name": f"{name}-0", "uid": name}
            self.pods[name] = {"metadata": metadata, "spec": spec, "status": {"phase": "Running"}}

    @staticmethod
    def settings(memory: str) -> Any:
        return parse({"postgres": {"memory": memory}}, registry.sections)

    def desired(self, memory: str) -> list[dict[str, Any]]:
        made = POSTGRES.objects(self.settings(memory))
        return [each for each in made if each["kind"] == "StatefulSet"]

    def __call__(self, method: str, target: str) -> Answer:
        where, _, query = target.partition("?")
        assert method == "GET"
        if "/statefulsets/" in where:
            workload = self.workloads.get(where.rpartition("/")[2])
            return Answer(200, json.dumps(workload)) if workload else status(404, "NotFound")
        if where.endswith("/configmaps/cluster-autoscaler-status"):
            return Answer(200, CONFIG_MAP) if self.scaler else status(403, "Forbidden", NO_RIGHT)
        if where.endswith("/pods"):
            named = parse_qs(query).get("labelSelector", [""])[0].partition(",")[0]
            name = named.removeprefix("app.kubernetes.io/name=")
            return listed(*(pod for own, pod in self.pods.items() if name in ("", own)))
        if where.endswith("/resourcequotas"):
            return listed(*self.quotas)
        if where.endswith("/nodes"):
            return listed(*self.nodes)
        assert where.endswith(("/storageclasses", "/persistentvolumeclaims"))
        default = {"storageclass.kubernetes.io/is-default-class": "true"}
        return listed({"metadata": {"name": "standard", "annotations": default}})

    def check(self, folder: Path, memory: str) -> Capacity:
        with TemporaryDirectory(dir=folder) as own, kube(Path(own), self) as client:
            return check_capacity(client, self.settings(memory), [POSTGRES])

    def refusal(self, folder: Path, memory: str) -> tuple[str, str]:
        with pytest.raises(Failure) as raised:
            self.check(folder, memory)
        (found,) = raised.value.findings
        return found.code, found.message


def test_a_change_needs_what_its_pods_will_need(tmp_path: Path) -> None:
    """On a node of 4 GiB, of which the pod that goes has 3."""
    cluster = Cluster(node(), deployed="3Gi")
    assert cluster.check(tmp_path, "3Gi").message == "all pods are there"
    assert "1 pods need" in cluster.check(tmp_path, "3500Mi").message
    code, message = cluster.refusal(tmp_path, "5Gi")
    assert code == "room-missing"
    assert "left once they are replaced: 4.00 CPU and 4088 MiB on a" in message


def quota(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "small"}, "spec": spec}


@pytest.mark.parametrize(
    ("hard", "refused"),
    [
        ({"requests.memory": "2Gi"}, "requests.memory=2048Mi more is needed, and 8Mi of 2Gi"),
        ({"memory": "2Gi"}, "requests.memory=2048Mi"),
        ({"limits.memory": "2Gi"}, "limits.memory=2048Mi more is needed, and 128Mi of 2Gi"),
        ({"requests.memory": "2056Mi", "limits.memory": "2176Mi", "pods": "2"}, ""),
        ({"requests.cpu": "300m", "limits.cpu": "0"}, ""),  # nothing asks for a limit
        ({"count/configmaps": "0"}, ""),
    ],
)
def test_a_change_that_a_quota_does_not_allow_is_refused_before_the_pod_goes(
    tmp_path: Path, hard: dict[str, str], refused: str
) -> None:
    cluster = Cluster(node(), deployed="1Gi")
    cluster.quotas = [quota(hard={"pods": "0"}, scopes=["BestEffort"]), quota(hard=hard)]
    if not refused:
        assert "1 pods need" in cluster.check(tmp_path, "2Gi").message
        return
    code, message = cluster.refusal(tmp_path, "2Gi")
    assert code == "quota-exceeded"
    assert refused in message


@pytest.mark.parametrize("deployed", ["", "1Gi"])
@pytest.mark.parametrize(
    ("kept_off", "why"),
    [
        (node(unschedulable=True), "a is cordoned"),
        (tainted("NoSchedule"), "a is tainted reserved"),
        (tainted("NoExecute"), "a is tainted reserved"),
    ],
    ids=["cordoned", "no schedule", "no execute"],
)
def test_nodes_that_take_no_pods_do_not_count(
    tmp_path: Path, kept_off: dict[str, Any], why: str, deployed: str
) -> None:
    refused = Cluster(kept_off, deployed=deployed).refusal(tmp_path, "2Gi")
    assert refused == ("unschedulable-taint", f"no node takes pods: {why}")
    code, message = Cluster(kept_off, node("b", "1Gi"), deployed=deployed).refusal(tmp_path, "2Gi")
    assert code == "room-missing"
    assert "on b" in message and "on a" not in message


@pytest.mark.parametrize(
    "soft", [tainted("PreferNoSchedule"), tainted("NoSchedule", "node.kubernetes.io/not-ready")]
)
def test_a_taint_that_may_pass_or_only_prefers_is_left_to_the_scheduler(
    tmp_path: Path, soft: dict[str, Any]
) -> None:
    assert "2 pods need" in Cluster(soft).check(tmp_path, "1Gi").message


def test_a_cluster_that_scales_itself_is_warned_of(tmp_path: Path) -> None:
    cluster = Cluster(node(memory="1Gi"), scaler=True)
    assert cluster.check(tmp_path, "2Gi").note.endswith("scales: cluster-autoscaler-status")
    labelled = node(memory="1Gi")
    labelled["metadata"]["labels"] = {"karpenter.sh/nodepool": "default"}
    assert "scales: karpenter.sh/nodepool" in Cluster(labelled).check(tmp_path, "2Gi").note
