"""States that look odd and are healthy: no command may take them for a fault."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from learnflow_infra.cluster.local import layout

from ..conftest import NAMESPACE, Person
from ..machine import eventually
from . import containers, node, services, table
from .harness import MOST_SECONDS, Stand, elsewhere, parameters, pod
from .injector import Injector

Making = Callable[..., Iterator[None]]
MOST_BYTES = 400
NOWHERE = {"kubernetes.io/hostname": "nowhere"}


@dataclass(frozen=True)
class Odd:
    name: str
    command: str
    make: Any
    telling: bool


ODD: list[Odd] = []


def odd(name: str, command: str = "verify", *, telling: bool = False) -> Callable[[Making], Making]:
    """Make a state of a function that brings it about, yields, and takes it back. `up` meets it
    in a new namespace, `verify` where both services were proved before."""

    def record(make: Making) -> Making:
        ODD.append(Odd(name, command, contextmanager(make), telling))
        return make

    return record


def image(stand: Stand) -> str:
    """One that the node has."""
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/statefulsets/postgres"
    return str(stand.get(path)["spec"]["template"]["spec"]["containers"][0]["image"])


def phase(stand: Stand, name: str, expected: str) -> None:
    eventually(
        lambda: any(
            each["metadata"]["name"] == name and each["status"].get("phase") == expected
            for each in stand.items("pods")
        ),
        90,
    )


def labels_of(stand: Stand, name: str) -> dict[str, str]:
    found = json.loads(stand.kubectl("get", "pod", name, "-o", "json"))["metadata"]["labels"]
    return {key: found[key] for key in ("app.kubernetes.io/name", "learnflow-app/scope")}


def removed(stand: Stand, *names: str) -> None:
    stand.kubectl("delete", "pod", *names, "--grace-period=0", "--force")


@odd("a finished Job in the namespace", telling=True)
def finished_job(stand: Stand) -> Iterator[None]:
    done = pod("done", image(stand), "true")
    stand.create(
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": {"name": "done"},
            "spec": {"template": {"spec": done["spec"]}},
        }
    )
    stand.kubectl("wait", "job/done", "--for=condition=Complete", "--timeout=60s")
    yield
    stand.kubectl("delete", "job", "done")


@odd("an old pod with the service's labels that failed", telling=True)
def failed_pod(stand: Stand) -> Iterator[None]:
    labels = labels_of(stand, "kafka-0")
    stand.create(pod("stray", image(stand), "exit 1", metadata={"labels": labels}))
    phase(stand, "stray", "Failed")
    yield
    removed(stand, "stray")


@odd("an old pod with the service's labels that was evicted")
def evicted_pod(stand: Stand) -> Iterator[None]:
    evicted = pod(
        "evicted",
        image(stand),
        "head -c 9000000 /dev/zero > /scratch/file; sleep 600",
        metadata={"labels": labels_of(stand, "postgres-0")},
        volumes=[{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}],
    )
    mount = {"name": "scratch", "mountPath": "/scratch"}
    evicted["spec"]["containers"][0]["volumeMounts"] = [mount]
    stand.create(evicted)
    phase(stand, "evicted", "Failed")
    assert "Evicted" in stand.signs()
    yield
    removed(stand, "evicted")


@odd("a pod that is just being replaced", "up", telling=True)
def replaced(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up").exit_code == 0
    stand.kubectl("delete", "pod", "kafka-0", "postgres-0", "--wait=false")
    yield


@odd("a rollout that the user started", "up postgres")
def rollout(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    stand.kubectl("rollout", "restart", "statefulset/postgres")
    yield


@odd("another team's broken pods in another namespace")
def another_namespace(stand: Stand) -> Iterator[None]:
    stand.person.kubectl("create", "namespace", "others")
    for each in (
        pod("absent", "docker.io/nobody/nothing:1", "true"),
        pod("dead", image(stand), "exit 3"),
    ):
        each["metadata"]["namespace"] = "others"
        stand.person.kubectl("create", "-f", "-", stdin=json.dumps(each))
    for name, sign in (
        (
            "absent",
            "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull",
        ),
        ("dead", "jsonpath={.status.phase}=Failed"),
    ):
        stand.person.kubectl(
            "wait", f"pod/{name}", "-n", "others", f"--for={sign}", "--timeout=60s"
        )
    yield
    stand.person.kubectl("delete", "namespace", "others", "--wait=false")


@odd("broken pods of another application in the namespace", telling=True)
def another_application(stand: Stand) -> Iterator[None]:
    crashing = pod("shop-1", image(stand), "exit 3")
    crashing["spec"]["restartPolicy"] = "Always"
    stand.create(pod("shop-0", "docker.io/nobody/nothing:1", "true"), crashing)
    stand.await_sign("ErrImageNeverPull")
    stand.await_sign("CrashLoopBackOff")
    yield
    removed(stand, "shop-0", "shop-1")


@odd("200 other pods in the namespace that no node takes")
def crowd(stand: Stand) -> Iterator[None]:
    waiting = pod("any", image(stand), "sleep 600", nodeSelector=NOWHERE)
    waiting["spec"] |= {"restartPolicy": "Always"}
    labels = {"app": "crowd"}
    stand.create(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "crowd"},
            "spec": {
                "replicas": 200,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": waiting["spec"]},
            },
        }
    )

    def pods() -> int:
        return sum(each["metadata"]["labels"].get("app") == "crowd" for each in stand.items("pods"))

    eventually(lambda: pods() == 200, 90)
    yield
    stand.kubectl("delete", "deployment", "crowd", "--cascade=foreground")


@odd("a start that is slow and goes on", "up postgres", telling=True)
def slow_start(stand: Stand) -> Iterator[None]:
    def slow(pod: dict[str, Any]) -> None:
        container = pod["spec"]["containers"][0]
        container["command"][2] = "sleep 12\n" + container["command"][2]

    stand.alter(slow)
    yield


@odd("a start that fails once", "up postgres")
def fails_once(stand: Stand) -> Iterator[None]:
    def fail(pod: dict[str, Any]) -> None:
        container = pod["spec"]["containers"][0]
        once = "mkdir /var/lib/postgresql/data/tried && { echo FATAL: not yet; exit 1; }\n"
        container["command"][2] = once + container["command"][2]

    stand.alter(fail)
    yield


@odd("a container that was restarted once")
def restarted(stand: Stand) -> Iterator[None]:
    # The exec ends with the container that it is in: it must not be waited for.
    stand.exec("postgres-0", 'nohup pg_ctl kill QUIT $(head -1 "$PGDATA/postmaster.pid") &')

    def is_back() -> bool:
        found = json.loads(stand.kubectl("get", "pod", "postgres-0", "-o", "json"))["status"]
        container = found["containerStatuses"][0]
        return bool(container["restartCount"] >= 1 and container["ready"])

    eventually(is_back, 60)
    yield


@odd("warnings of a time that is over")
def old_warnings(stand: Stand) -> Iterator[None]:
    stand.signal("postgres-0", "postgres", "STOP")
    try:
        stand.await_sign("Unhealthy")
    finally:
        stand.signal("postgres-0", "postgres", "CONT")
    stand.kubectl("wait", "pod/postgres-0", "--for=condition=Ready", "--timeout=60s")
    yield


@odd("an init container that has ended", "up postgres")
def completed_init(stand: Stand) -> Iterator[None]:
    stand.alter(lambda pod: containers.prepare(pod, command=["true"]))
    yield


@odd("a sidecar that a team's injector adds", "up postgres")
def sidecar(stand: Stand) -> Iterator[None]:
    def add(pod: dict[str, Any]) -> None:
        main = pod["spec"]["containers"][0]
        kept = {key: main[key] for key in ("image", "imagePullPolicy", "securityContext")}
        side = kept | {"name": "sidecar", "command": ["sleep", "3600"]}
        pod["spec"]["containers"].append(side)
        pod["metadata"].setdefault("annotations", {})["sidecar.example.com/status"] = "injected"

    stand.alter(add)
    yield


@odd("a cordoned node on which the pods run", "verify")
def cordoned(stand: Stand) -> Iterator[None]:
    stand.kubectl("cordon", layout.NAME)
    yield
    stand.kubectl("uncordon", layout.NAME)


@odd("a second node that is not ready", "up postgres")
def second_node(stand: Stand) -> Iterator[None]:
    stand.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "asleep"}})
    status = {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    stand.kubectl("patch", "node", "asleep", "--subresource=status", "-p", json.dumps(status))
    yield
    stand.kubectl("delete", "node", "asleep")


@odd("labels and annotations that others added")
def labelled(stand: Stand) -> Iterator[None]:
    for kind in ("statefulset/kafka", "service/kafka", "pod/kafka-0", "pvc/data-kafka-0"):
        stand.kubectl("label", kind, "team=blue", "--field-manager=others")
        stand.kubectl("annotate", kind, "note=looked at", "--field-manager=others")
    yield


@odd("a quota that is just large enough", "up postgres")
def exact_quota(stand: Stand) -> Iterator[None]:
    hard = "pods=2,requests.cpu=251m,requests.memory=264Mi,persistentvolumeclaims=1"
    stand.kubectl("create", "quota", "exact", f"--hard={hard}")
    yield


@odd("a network in which no pod reaches itself through a Service", telling=True)
def no_hairpin(stand: Stand) -> Iterator[None]:
    """As with a bridge whose ports do not send back what came from them."""
    links = [node.link(each["status"]["podIP"]) for each in stand.items("pods")]
    rules = " ".join(f"iifname {link} oifname {link} drop;" for link in links)
    chain = f"chain back {{ type filter hook forward priority 0; {rules} }}"
    node.nft(f"table inet hairpin {{\n{chain}\n}}")
    with pytest.raises(AssertionError):
        stand.exec("postgres-0", f"pg_isready -t 2 -h postgres.{NAMESPACE}.svc")
    yield
    node.nft("delete table inet hairpin")


@odd("others' policies that let clients out to the scope alone", telling=True)
def closed_namespace(stand: Stand) -> Iterator[None]:
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    scope = {"podSelector": {"matchLabels": {"learnflow-app/scope": "phase-2-infrastructure"}}}
    rules = [{"ports": ports}, {"to": [scope]}]
    clients = {"matchLabels": {"learnflow-app/client": "true"}}
    stand.create(
        services.policy("deny-all", {}, ["Ingress", "Egress"]),
        services.policy("out", clients, ["Egress"], egress=rules),
    )
    yield
    stand.kubectl("delete", "networkpolicy", "deny-all", "out")


@odd("a taint by which the node is only less preferred", "up postgres")
def prefer(stand: Stand) -> Iterator[None]:
    stand.kubectl("taint", "node", layout.NAME, "old=x:PreferNoSchedule")
    yield
    stand.kubectl("taint", "node", layout.NAME, "old-")


@pytest.fixture
def stand(
    request: pytest.FixtureRequest, person: Person, deployed: Person, injector: Injector
) -> Iterator[Stand]:
    state: Odd = request.getfixturevalue("state")
    if state.command.startswith("verify"):
        with Stand(person, NAMESPACE, injector) as stand:
            yield stand
        return
    with elsewhere(person, injector, f"odd-{request.node.callspec.id}") as stand:
        yield stand


@pytest.mark.parametrize("state", parameters(ODD))
def test_an_odd_state_is_healthy(state: Odd, stand: Stand) -> None:
    with state.make(stand):
        outcome = stand.observe(state.command, "")
    assert outcome.exit_code == 0, outcome.text
    assert outcome.findings == []
    assert len(outcome.text.replace(stand.namespace, NAMESPACE).encode()) <= MOST_BYTES
    assert outcome.seconds < MOST_SECONDS
    table.record_odd(state.name, state.command, outcome)
