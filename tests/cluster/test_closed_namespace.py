"""The scope's namespace: who may connect to the services, where they may connect to, and which
pods are let in at all."""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from learnflow_infra.cluster.local import LocalCluster, layout
from learnflow_infra.settings import SecuritySettings

from . import probes
from .conftest import ADMINISTRATOR, NAMESPACE, Person
from .machine import eventually
from .probes import REACHED, REFUSED

ELSEWHERE = "not-the-scopes"
LABELLED = SecuritySettings().client_labels
CLIENT, STRANGER = (NAMESPACE, "client"), (NAMESPACE, "stranger")
FOREIGNER = (ELSEWHERE, "client")
OPEN = ["kafka.learnflow.svc:9092", "postgres.learnflow.svc:5432"]
KAFKA_POD = "kafka-0.kafka-brokers.learnflow.svc"


@pytest.fixture(scope="module")
def visited(deployed: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Pods beside the services: one with the clients' label, one without, one elsewhere with it."""
    probes.load(tmp_path_factory.mktemp("probe"))
    probes.apply(
        deployed,
        probes.namespace(ELSEWHERE),
        probes.pod(*CLIENT, labels=LABELLED),
        probes.pod(*STRANGER),
        probes.pod(*FOREIGNER, labels=LABELLED),
    )
    for each in (NAMESPACE, ELSEWHERE):
        probes.await_ready(deployed, each)
    yield deployed
    deployed.kubectl("delete", "pod", "client", "stranger", "-n", NAMESPACE, "--timeout=60s")
    deployed.kubectl("delete", "namespace", ELSEWHERE, "--timeout=60s")


@pytest.mark.parametrize("address", OPEN)
def test_a_labelled_client_is_let_in(visited: Person, address: str) -> None:
    assert probes.dial(visited, *CLIENT, address) == REACHED


@pytest.mark.intruder("connects to {} from a pod without the label", by="network policy")
@pytest.mark.parametrize("address", OPEN)
def test_a_pod_without_the_label_is_refused(visited: Person, address: str) -> None:
    assert probes.dial(visited, *STRANGER, address) == REFUSED


@pytest.mark.intruder("connects to {} from another namespace, labelled", by="network policy")
@pytest.mark.parametrize("address", OPEN)
def test_a_pod_of_another_namespace_is_refused(visited: Person, address: str) -> None:
    assert probes.dial(visited, *FOREIGNER, address) == REFUSED


@pytest.mark.intruder("connects to Kafka's port {} as a client", by="network policy")
@pytest.mark.parametrize("port", [9091, 9093, 9094])
def test_a_client_reaches_none_of_the_brokers_own_ports(visited: Person, port: int) -> None:
    assert probes.dial(visited, *CLIENT, f"{KAFKA_POD}:{port}") == REFUSED


@pytest.mark.intruder("reaches {} from inside a server's pod", by="network policy")
@pytest.mark.parametrize(
    ("pod", "address"),
    [
        pytest.param(pod, address, id=f"{words} from {pod}")
        for pod in ("kafka-0", "postgres-0")
        for words, address in (
            ("the API", f"{layout.API_SERVICE}/443"),
            ("the kubelet", f"{layout.NODE_ADDRESS}/10250"),
            ("the host", f"{layout.HOST_ADDRESS}/22"),
            ("the other service", "SERVICE"),
        )
    ],
)
def test_a_server_reaches_nothing_but_dns(visited: Person, pod: str, address: str) -> None:
    other = "postgres.learnflow.svc/5432" if pod == "kafka-0" else "kafka.learnflow.svc/9092"
    script = f"exec 3<>/dev/tcp/{address.replace('SERVICE', other)}"
    said = _attempt(visited, "exec", "-n", NAMESPACE, pod, "--", "bash", "-c", script)
    assert "No route to host" in said
    own = "kafka" if pod == "kafka-0" else "postgres"
    assert visited.kubectl("exec", "-n", NAMESPACE, pod, "--", "getent", "hosts", own)


def test_what_was_done_to_a_policy_is_undone(visited: Person) -> None:
    wide: dict[str, object] = {"spec": {"ingress": [{}]}}
    visited.kubectl(
        "patch", "networkpolicy", "kafka", "-n", NAMESPACE, "--type=merge", "-p", json.dumps(wide)
    )
    eventually(lambda: probes.dial(visited, *STRANGER, OPEN[0]) == REACHED)
    visited.kubectl("delete", "networkpolicy", "postgres", "-n", NAMESPACE)
    eventually(lambda: probes.dial(visited, *STRANGER, OPEN[1]) == REACHED)
    answer = visited.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert set(answer.json["changed"]) == {"networkpolicy/kafka", "networkpolicy/postgres"}
    for address in OPEN:
        eventually(lambda: probes.dial(visited, *STRANGER, address) == REFUSED)  # noqa: B023


ALLOWED = probes.pod(NAMESPACE, "tried")


def _with(container: dict[str, Any], **pod: Any) -> dict[str, Any]:
    """A pod that is well but for something."""
    tried = copy.deepcopy(ALLOWED)
    tried["spec"] |= pod
    tried["spec"]["containers"][0]["securityContext"] |= container
    return tried


HOST_PATH = {"volumes": [{"name": "host", "hostPath": {"path": "/"}}]}
HOST_PORT = _with({})
HOST_PORT["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 80}]


@pytest.mark.intruder("starts a pod that {}", by="Pod Security Standard")
@pytest.mark.parametrize(
    "pod",
    [
        pytest.param(_with({"runAsNonRoot": False, "runAsUser": 0}), id="runs as root"),
        pytest.param(
            _with({"privileged": True, "allowPrivilegeEscalation": True}), id="asks for privilege"
        ),
        pytest.param(_with({"allowPrivilegeEscalation": True}), id="may gain privileges"),
        pytest.param(
            _with({"capabilities": {"add": ["NET_ADMIN"], "drop": ["ALL"]}}), id="adds a capability"
        ),
        pytest.param(_with({"capabilities": {}}), id="keeps its capabilities"),
        pytest.param(_with({"seccompProfile": {"type": "Unconfined"}}), id="makes any system call"),
        pytest.param(_with({}, **HOST_PATH), id="mounts the host's files"),
        pytest.param(_with({}, hostNetwork=True), id="uses the host's network"),
        pytest.param(_with({}, hostPID=True), id="sees the host's processes"),
        pytest.param(_with({}, hostIPC=True), id="uses the host's shared memory"),
        pytest.param(HOST_PORT, id="takes a port of the host"),
    ],
)
def test_a_pod_that_asks_for_more_is_refused(deployed: Person, pod: dict[str, Any]) -> None:
    said = _attempt(deployed, "create", "-f", "-", stdin=json.dumps(pod))
    # The local cluster lets nobody have privileges, before any namespace's rule is asked.
    assert 'violates PodSecurity "restricted' in said or "disallowed by cluster policy" in said


def test_a_pod_that_asks_for_nothing_is_let_in(deployed: Person) -> None:
    deployed.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(ALLOWED))


def test_a_namespace_of_ones_own_is_left_as_it_is(person: Person, elsewhere: str) -> None:
    """`elsewhere`'s rights came with the namespace as `up` makes it: first it is made foreign."""
    removed = ["learnflow-app/scope-", "pod-security.kubernetes.io/enforce-"]
    person.kubectl("label", "namespace", elsewhere, *removed)
    try:
        assert person.run("up", "postgres").exit_code == 0
        found = json.loads(person.kubectl("get", "namespace", elsewhere, "-o", "json"))
        assert "pod-security.kubernetes.io/enforce" not in found["metadata"]["labels"]
    finally:
        person.kubectl(
            "label", "namespace", elsewhere, "learnflow-app/scope=phase-2-infrastructure"
        )


def _attempt(person: Person, *arguments: str, stdin: str | None = None) -> str:
    """What kubectl says of something that must fail."""
    done = subprocess.run(
        [*LocalCluster().kubectl, f"--context={ADMINISTRATOR}", *arguments],
        env=person.environment,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode != 0, done.stdout
    return done.stderr
