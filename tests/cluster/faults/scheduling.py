"""Pods that no node can take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from learnflow_infra.cluster.local import layout

from ..machine import eventually
from . import node
from .harness import Stand, fault, pod


def asking(stand: Stand, **requests: str) -> None:
    resources = {"requests": requests, "limits": requests}
    stand.alter_container(resources=resources)


@fault("more memory set than the nodes have", "up", "room-missing", exit=4, telling=True)
def room_memory(stand: Stand) -> Iterator[None]:
    stand.settings('[postgres]\nmemory = "900Gi"\n')
    yield


@fault("more CPU set than the nodes have", "up kafka", "room-missing", exit=4)
def room_cpu(stand: Stand) -> Iterator[None]:
    stand.settings('[kafka]\ncpu = "500"\n')
    yield


@fault("no node with the CPU", "up postgres", "unschedulable-cpu", exit=4, sign="Unschedulable")
def cpu(stand: Stand) -> Iterator[None]:
    asking(stand, cpu="500", memory="256Mi")
    yield


@fault(
    "no node with the memory", "up postgres", "unschedulable-memory", exit=4, sign="Unschedulable"
)
def memory(stand: Stand) -> Iterator[None]:
    asking(stand, cpu="100m", memory="900Gi")
    yield


@fault("no node with the device", "up postgres", "unschedulable", exit=4, sign="Unschedulable")
def device(stand: Stand) -> Iterator[None]:
    asking(stand, **{"cpu": "100m", "memory": "256Mi", "example.com/device": "1"})
    yield


@fault(
    "a node selector that no node has",
    "up postgres",
    "unschedulable-affinity",
    exit=4,
    sign="Unschedulable",
)
def selector(stand: Stand) -> Iterator[None]:
    stand.alter(lambda pod: pod["spec"].update(nodeSelector={"disk": "gold"}))
    yield


@fault(
    "a taint on every node",
    "up postgres",
    "unschedulable-taint",
    exit=4,
    telling=True,
    says="reserved",
)
def taint(stand: Stand) -> Iterator[None]:
    stand.kubectl("taint", "node", layout.NAME, "reserved=x:NoSchedule")
    try:
        yield
    finally:
        stand.kubectl("taint", "node", layout.NAME, "reserved-")


@fault(
    "a pod that a taint keeps off",
    "verify postgres",
    "unschedulable-taint",
    exit=4,
    alone=True,
    says="reserved",
)
def kept_off(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    stand.kubectl("taint", "node", layout.NAME, "reserved=x:NoSchedule")
    try:
        stand.kubectl("delete", "pod", "postgres-0")
        stand.await_sign("Unschedulable")
        yield
    finally:
        stand.kubectl("taint", "node", layout.NAME, "reserved-")


@fault(
    "more memory for a running service than any node has",
    "up postgres",
    "room-missing",
    exit=4,
    telling=True,
)
def grown(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    before = stand.uid("postgres-0")
    stand.settings('[postgres]\nmemory = "900Gi"\n')
    yield
    assert stand.uid("postgres-0") == before
    stand.settings()
    answer = stand.person.run("up", "postgres", "--json")
    assert (answer.exit_code, answer.json["changed"]) == (0, []), answer.stdout


@fault("every node cordoned", "up postgres", "unschedulable-taint", exit=4)
def cordoned(stand: Stand) -> Iterator[None]:
    stand.kubectl("cordon", layout.NAME)
    try:
        yield
    finally:
        stand.kubectl("uncordon", layout.NAME)


@fault(
    "a node that may run no more pods",
    "up postgres",
    "unschedulable-pods",
    exit=4,
    sign="Unschedulable",
)
def too_many_pods(stand: Stand) -> Iterator[None]:
    with node.kubelet_with(lambda config: config.update(maxPods=1)):

        def taken() -> bool:
            found = stand.get(f"/api/v1/nodes/{layout.NAME}")
            return bool(found["status"]["allocatable"]["pods"] == "1")

        eventually(taken, 60)
        stand.create(pod("first", "docker.io/nobody/nothing:1", "true", nodeName=layout.NAME))
        yield


@fault("a kubelet that hangs", "up postgres", "node-not-ready", sign="Unschedulable")
def not_ready(stand: Stand) -> Iterator[None]:
    with node.stopped("kubelet"):
        eventually(lambda: node.condition("Ready") == "Unknown", 90)
        yield
    eventually(lambda: node.condition("Ready") == "True", 60)


@fault(
    "a node that is short of process ids",
    "up postgres",
    "node-under-pressure",
    exit=4,
    sign="Unschedulable",
)
def pressure(stand: Stand) -> Iterator[None]:
    def short(config: dict[str, Any]) -> None:
        config["evictionHard"]["pid.available"] = "9T"

    with node.kubelet_with(short):
        eventually(lambda: "pid-pressure" in taints(stand), 60)
        yield
    eventually(lambda: "pid-pressure" not in taints(stand), 60)


@fault(
    "a pod that is put out since it fills its disk",
    "up postgres",
    "pod-evicted",
    exit=4,
    sign="Evicted",
)
def evicted(stand: Stand) -> Iterator[None]:
    fills = "head -c 8M /dev/zero > /var/run/postgresql/file; sleep 600"
    stand.alter_container(command=["sh", "-c", fills])
    yield


def taints(stand: Stand) -> str:
    found = stand.get(f"/api/v1/nodes/{layout.NAME}")
    return " ".join(each["key"] for each in found["spec"].get("taints", ()))


@fault("a service scaled to nothing", "diagnose", "scaled-down", alone=True, telling=True)
def scaled_down(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up").exit_code == 0
    stand.kubectl("scale", "statefulset/postgres", "--replicas=0")
    yield


@fault(
    "a service scaled to more pods than it may have",
    "verify postgres",
    "too-many-pods",
    alone=True,
    telling=True,
    says="postgres-1",
)
def scaled_up(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    stand.kubectl("scale", "statefulset/postgres", "--replicas=2")
    eventually(lambda: "postgres-1" in stand.kubectl("get", "pods", "-o", "name"), 60)
    yield


@fault("another's pod behind a service", "verify postgres", "stray-pod", says="stray")
def stray(stand: Stand) -> Iterator[None]:
    path = f"/apis/apps/v1/namespaces/{stand.namespace}/statefulsets/postgres"
    template = stand.get(path)["spec"]["template"]
    image, labels = template["spec"]["containers"][0]["image"], template["metadata"]["labels"]
    stand.create(pod("stray", image, "sleep 600", metadata={"labels": labels}))
    stand.kubectl("wait", "pod/stray", "--for=condition=Ready", "--timeout=60s")
    yield
    stand.kubectl("delete", "pod", "stray", "--grace-period=0", "--force")
