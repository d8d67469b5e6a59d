"""What goes wrong between a service's clients and its pods, whichever service it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from learnflow_infra.cluster.local import layout

from ..machine import eventually
from . import node
from .harness import Stand, fault

HEADLESS = "kafka-0.kafka-brokers.{}.svc"


def without_endpoints(stand: Stand, service: str) -> Iterator[None]:
    selector = {"spec": {"selector": {"app.kubernetes.io/name": "nothing"}}}
    stand.kubectl("patch", "service", service, "--type=merge", "-p", json.dumps(selector))
    yield


@fault("a Service without endpoints (Kafka)", "verify kafka", "service-unreachable", telling=True)
def kafka_without_endpoints(stand: Stand) -> Iterator[None]:
    yield from without_endpoints(stand, "kafka")


@fault("a Service without endpoints (PostgreSQL)", "verify postgres", "service-unreachable")
def postgres_without_endpoints(stand: Stand) -> Iterator[None]:
    yield from without_endpoints(stand, "postgres")


def unknown(stand: Stand, pod: str, name: str) -> None:
    """Remove a Service and wait until its name is forgotten."""
    stand.kubectl("delete", "service", name.split(".")[-3])
    gone = f"for i in $(seq 300); do getent hosts {name} || exit 0; sleep 0.2; done; exit 1"
    stand.exec(pod, gone)


@fault("a Service that is gone", "verify postgres", "name-unknown", says="postgres")
def service_gone(stand: Stand) -> Iterator[None]:
    unknown(stand, "postgres-client-0", f"postgres.{stand.namespace}.svc")
    yield


@fault(
    "the brokers' headless Service that is gone",
    "verify kafka",
    "kafka-advertised-address",
    says="kafka-0.kafka-brokers",
)
def headless_gone(stand: Stand) -> Iterator[None]:
    unknown(stand, "kafka-client-0", HEADLESS.format(stand.namespace))
    yield


@fault(
    "the cluster's DNS without endpoints (both services)", "verify", "dns-unavailable", telling=True
)
def dns_without_endpoints(stand: Stand) -> Iterator[None]:
    name = f"kube-dns-{layout.NAME}"
    shown = stand.person.kubectl("get", "endpointslice", "-n", "kube-system", name, "-o", "json")
    slice_ = json.loads(shown)
    for key in ("resourceVersion", "uid", "creationTimestamp", "generation", "managedFields"):
        slice_["metadata"].pop(key, None)
    stand.person.kubectl("delete", "endpointslice", "-n", "kube-system", name)
    try:
        yield
    finally:
        stand.person.kubectl("create", "-f", "-", stdin=json.dumps(slice_))


@fault("the cluster's DNS hangs (both services)", "verify", "dns-unavailable")
def dns_hangs(stand: Stand) -> Iterator[None]:
    with node.stopped("dns"):
        yield


def policy(name: str, selector: dict[str, Any], types: list[str], **rules: Any) -> dict[str, Any]:
    """A NetworkPolicy of somebody else's."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name},
        "spec": {"podSelector": selector, "policyTypes": types, **rules},
    }


@fault(
    "a NetworkPolicy from which the clients' rule was taken",
    "verify postgres",
    "policy-differs",
    telling=True,
    says="postgres is not as",
)
def without_clients(stand: Stand) -> Iterator[None]:
    change = [{"op": "remove", "path": "/spec/ingress/0"}]
    stand.kubectl("patch", "networkpolicy", "postgres", "--type=json", "-p", json.dumps(change))
    yield


@fault(
    "a NetworkPolicy that is gone beside others' default-deny",
    "verify kafka",
    "policy-differs",
    says="kafka is not there",
)
def without_policy(stand: Stand) -> Iterator[None]:
    stand.kubectl("delete", "networkpolicy", "kafka")
    servers = {"matchLabels": {"app.kubernetes.io/name": "kafka"}}
    stand.create(policy("closed", servers, ["Ingress"]))
    yield
    stand.kubectl("delete", "networkpolicy", "closed")


@fault(
    "a default-deny that others put into the namespace",
    "verify kafka",
    "policy-of-others",
    telling=True,
    says="deny-all lets no client out to port 53",
)
def default_deny(stand: Stand) -> Iterator[None]:
    stand.create(policy("deny-all", {}, ["Ingress", "Egress"]))
    yield
    stand.kubectl("delete", "networkpolicy", "deny-all")


@fault(
    "a policy of others by which clients reach DNS alone",
    "verify postgres",
    "policy-of-others",
    says="names lets no client out to port 5432",
)
def names_alone(stand: Stand) -> Iterator[None]:
    dns = {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]}
    clients = {"matchExpressions": [{"key": "learnflow-app/client", "operator": "Exists"}]}
    stand.create(policy("names", clients, ["Egress"], egress=[dns]))
    yield
    stand.kubectl("delete", "networkpolicy", "names")


@fault("DNS that is open to some pods only (both services)", "verify", "dns-shut")
def dns_for_some(stand: Stand) -> Iterator[None]:
    addresses = {each["metadata"]["name"]: each["status"]["podIP"] for each in stand.items("pods")}
    clients = [node.pid_at(addresses[f"{each}-client-0"]) for each in ("kafka", "postgres")]
    rules = "udp dport 53 drop; tcp dport 53 drop;"
    for each in clients:
        chain = f"chain out {{ type filter hook output priority 0; {rules} }}"
        node.nft(f"table inet shut {{\n{chain}\n}}", each)
    yield
    for each in clients:
        node.nft("delete table inet shut", each)


@fault(
    "a deployment without its client, as earlier versions made it",
    "verify postgres",
    "client-missing",
)
def no_client(stand: Stand) -> Iterator[None]:
    stand.kubectl("delete", "statefulset", "postgres-client")
    yield


@fault("a client whose image is gone", "verify kafka", "image-absent")
def client_without_image(stand: Stand) -> Iterator[None]:
    container = {"name": "kafka-client", "image": "nobody/nothing:1", "imagePullPolicy": "Never"}
    change = {"spec": {"template": {"spec": {"containers": [container]}}}}
    stand.kubectl("patch", "statefulset", "kafka-client", "-p", json.dumps(change))
    eventually(
        lambda: any(
            "ErrImageNeverPull" in json.dumps(each["status"])
            for each in stand.items("pods")
            if each["metadata"]["name"] == "kafka-client-0"
        )
    )
    yield


@fault("a connection Secret that is gone", "verify kafka", "connection-missing")
def no_connection(stand: Stand) -> Iterator[None]:
    stand.kubectl("delete", "secret", "kafka-connection")
    yield


@fault(
    "a connection Secret that names another host",
    "verify postgres",
    "connection-differs",
    says="host",
)
def another_host(stand: Stand) -> Iterator[None]:
    change = {"stringData": {"host": "nowhere.learnflow.svc"}}
    stand.kubectl("patch", "secret", "postgres-connection", "-p", json.dumps(change))
    yield


@fault("Ready pods whose servers both hang", "verify", "service-slow")
def both_hang(stand: Stand) -> Iterator[None]:
    servers = (("kafka-0", "java"), ("postgres-0", "postgres"))
    for pod, program in servers:
        stand.signal(pod, program, "STOP")
    try:
        yield
    finally:
        for pod, program in servers:
            stand.signal(pod, program, "CONT")


@fault("pods that are just being replaced", "verify", "pods-not-ready")
def being_replaced(stand: Stand) -> Iterator[None]:
    stand.kubectl("delete", "pod", "kafka-0", "postgres-0", "--wait=false")
    yield


@fault(
    "a password that somebody changed in the credentials",
    "verify postgres",
    "connection-differs",
    telling=True,
    says="password",
)
def changed_password(stand: Stand) -> Iterator[None]:
    change = {"stringData": {"password": "of-the-credentials"}}
    stand.kubectl("patch", "secret", "postgres-credentials", "-p", json.dumps(change))
    yield


@fault(
    "a connection Secret that is gone, to one who looks for faults",
    "diagnose",
    "connection-missing",
)
def unnoticed(stand: Stand) -> Iterator[None]:
    stand.kubectl("delete", "secret", "kafka-connection")
    yield
