"""Whether what will be added fits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from learnflow_infra.pipeline.capacity import free, requests


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
