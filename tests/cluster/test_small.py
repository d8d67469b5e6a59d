"""The small size: both services on what Minikube gives a cluster by default."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from learnflow_infra.cluster.local import layout
from learnflow_infra.pipeline import capacity

from .conftest import Person
from .machine import eventually

# Minikube's default machine, and what its own pods and the API server's kind ask for on it.
MACHINE = {"cpu": Decimal(2), "memory": Decimal(3 * 2**30)}
SYSTEM = {"cpu": Decimal("0.85"), "memory": Decimal(300 * 2**20)}


@pytest.fixture
def full_node(person: Person, elsewhere: str) -> Iterator[str]:
    """A namespace on a node that has no more left than that machine: a pod asks for all else, and
    what all pods together really take is held to what the node's own programs leave of 3 GiB."""
    kubectl = person.kubectl
    (node,) = json.loads(kubectl("get", "nodes", "-o", "json"))["items"]
    pods = json.loads(kubectl("get", "pods", "-A", "-o", "json"))["items"]
    (left,) = capacity.free([node], pods).values()
    asks = {name: f"{left[name] - MACHINE[name] + SYSTEM[name]:f}" for name in MACHINE}
    container = {"name": "c", "image": layout.PAUSE_IMAGE, "resources": {"requests": asks}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "others"}}
    pod["spec"] = {"containers": [container | {"imagePullPolicy": "Never"}]}
    kubectl("apply", "-n", "default", "-f", "-", stdin=json.dumps(pod))
    eventually(lambda: "Running" in kubectl("get", "pod", "others", "-n", "default"), 60)
    limit, before = memory_limit(), memory_limit().read_text()
    limit.write_text(str(int(MACHINE["memory"]) - programs_bytes()))
    yield elsewhere
    limit.write_text(before)
    kubectl("delete", "pod", "others", "-n", "default", "--now")


def memory_limit() -> Path:
    """That of the cgroup in which all pods of the node are."""
    name = layout.CGROUP.read_text()
    root = Path("/sys/fs/cgroup")
    first = root / "memory" / name / "memory.limit_in_bytes"
    return first if first.exists() else root / name / "memory.max"


def programs_bytes() -> int:
    """What the node's own programs have in memory of their own."""
    total = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            argv = (folder / "cmdline").read_bytes().split(b"\0")
            status = (folder / "status").read_text()
        except OSError:
            continue  # it has ended
        if argv[0].endswith((b"/learnflow-local", b"/containerd")):
            fields = dict(line.split(":", 1) for line in status.splitlines())
            total += int(fields["RssAnon"].split()[0]) << 10
    return total


def test_both_services_run_and_are_proved_on_2_cpus_and_3_gib(
    person: Person, full_node: str
) -> None:
    person.settings(f'[cluster]\nnamespace = "{full_node}"\nsize = "small"\n')
    answer = person.run("up", "--json", timeout=300)
    assert answer.exit_code == 0, answer.stdout
    for _ in range(3):
        assert person.run("verify").exit_code == 0
    pods = json.loads(person.kubectl("get", "pods", "-n", full_node, "-o", "json"))["items"]
    statuses = [each["status"]["containerStatuses"][0] for each in pods]
    assert [each["restartCount"] for each in statuses] == [0, 0, 0, 0]
