"""The local cluster enforces NetworkPolicies: connections that are made, and that are refused."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from learnflow_infra.cluster.local import LocalCluster, layout

from . import probes
from .conftest import ADMINISTRATOR, Person
from .machine import eventually
from .probes import REACHED, REFUSED

HERE, THERE = "policies-here", "policies-there"
SERVER = probes.pod(
    *(HERE, "server", "listen", "tcp:8080", "tcp:8081", "tcp:8082", "udp:8080"),
    labels={"role": "server"},
    ports={"web": 8080},
)
OTHER_SERVER = probes.pod(
    HERE, "other-server", "listen", "tcp:8080", "tcp:8082", ports={"web": 8082}
)
PODS = [
    SERVER,
    OTHER_SERVER,
    probes.pod(HERE, "friend", labels={"role": "client"}),
    probes.pod(HERE, "stranger"),
    probes.pod(THERE, "friend", labels={"role": "client"}),
]
CLIENTS = {"friend": (HERE, "friend"), "stranger": (HERE, "stranger"), "there": (THERE, "friend")}
FRIENDS = {"podSelector": {"matchLabels": {"role": "client"}}}
TEAM = {"namespaceSelector": {"matchLabels": {"team": "there"}}}


@pytest.fixture(scope="module")
def pods(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Servers and clients in two namespaces, without a policy."""
    probes.load(tmp_path_factory.mktemp("probe"))
    probes.apply(person, probes.namespace(HERE), probes.namespace(THERE, team="there"), *PODS)
    for each in (HERE, THERE):
        probes.await_ready(person, each)
    yield person
    person.kubectl("delete", "namespace", HERE, THERE, "--wait=true", "--timeout=60s")


@contextmanager
def policy(person: Person, selected: Mapping[str, str], **spec: Any) -> Iterator[None]:
    """For as long as the policy is there; `spec` as in the API."""
    body = {"podSelector": {"matchLabels": dict(selected)}, **spec}
    probes.apply(
        person,
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": "tried", "namespace": HERE},
            "spec": body,
        },
    )
    try:
        yield
    finally:
        person.kubectl("delete", "networkpolicy", "tried", "-n", HERE)


def server(person: Person, port: int = 8080) -> str:
    return f"{probes.address(person, HERE, 'server')}:{port}"


def becomes(expected: Any, look: Callable[[], Any]) -> None:
    """A change reaches the kernel a moment after the API."""
    seen: list[Any] = []

    def so() -> bool:
        seen.append(look())
        return bool(seen[-1] == expected)

    try:
        eventually(so, 20)
    except AssertionError:
        pytest.fail(f"{seen[-1]} is not {expected}")


def reaching(person: Person, to: str) -> set[str]:
    """Which clients reach an address; all others are refused, not left without an answer."""
    answers = {name: probes.dial(person, *client, to) for name, client in CLIENTS.items()}
    assert set(answers.values()) <= {REACHED, REFUSED}, answers
    return {name for name, answer in answers.items() if answer == REACHED}


def test_without_a_policy_everything_is_open(pods: Person) -> None:
    assert reaching(pods, server(pods)) == set(CLIENTS)
    assert probes.dial(pods, HERE, "friend", server(pods), "udp") == REACHED


def test_a_policy_closes_new_connections_alone_and_its_end_opens(pods: Person) -> None:
    argv = [*LocalCluster().kubectl, f"--context={ADMINISTRATOR}", "exec", "-i", "-n", HERE]
    talk = subprocess.Popen(
        [*argv, "friend", "--", "/probe", "talk", server(pods)],
        env=pods.environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert talk.stdin is not None and talk.stdout is not None

    def says(word: bytes) -> bytes:
        assert talk.stdin is not None and talk.stdout is not None
        talk.stdin.write(word)
        talk.stdin.flush()
        return talk.stdout.readline()

    try:
        assert says(b"before\n") == b"before\n"
        with policy(pods, {"role": "server"}, policyTypes=["Ingress"]):
            becomes(set(), lambda: reaching(pods, server(pods)))
            assert probes.dial(pods, HERE, "friend", server(pods), "udp") != REACHED
            assert says(b"still\n") == b"still\n"
        becomes(set(CLIENTS), lambda: reaching(pods, server(pods)))
    finally:
        talk.kill()
        talk.communicate(timeout=10)


@pytest.mark.parametrize(
    ("peers", "expected"),
    [
        ([], {"friend", "stranger", "there"}),
        ([FRIENDS], {"friend"}),
        ([TEAM], {"there"}),
        ([TEAM | FRIENDS], {"there"}),
        ([TEAM | {"podSelector": {"matchLabels": {"role": "none"}}}], set()),
        ([{"namespaceSelector": {}} | FRIENDS], {"friend", "there"}),
        ([FRIENDS, TEAM], {"friend", "there"}),
        ([{"ipBlock": {"cidr": "0.0.0.0/0"}}], {"friend", "stranger", "there"}),
        ([{"ipBlock": {"cidr": "fd00::/8"}}], set()),
    ],
)
def test_who_is_let_in(pods: Person, peers: list[Any], expected: set[str]) -> None:
    with policy(pods, {"role": "server"}, policyTypes=["Ingress"], ingress=[{"from": peers}]):
        becomes(expected, lambda: reaching(pods, server(pods)))


def test_a_block_of_addresses_with_exceptions(pods: Person) -> None:
    excepted = f"{probes.address(pods, HERE, 'stranger')}/32"
    block = {"ipBlock": {"cidr": layout.PODS, "except": [excepted]}}
    with policy(pods, {"role": "server"}, policyTypes=["Ingress"], ingress=[{"from": [block]}]):
        becomes({"friend", "there"}, lambda: reaching(pods, server(pods)))


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        ([{"protocol": "TCP"}], {"tcp 8080", "tcp 8081", "tcp 8082"}),
        ([{"protocol": "UDP"}], {"udp 8080"}),
        ([{"protocol": "SCTP", "port": 8080}], set()),
        (
            [{"protocol": "TCP", "port": 8081}, {"protocol": "UDP", "port": 8080}],
            {"tcp 8081", "udp 8080"},
        ),
        ([{"protocol": "TCP", "port": 8081, "endPort": 8082}], {"tcp 8081", "tcp 8082"}),
        ([{"protocol": "TCP", "port": "web"}], {"tcp 8080"}),
        ([{"protocol": "TCP", "port": "nobody-has-it"}], set()),
    ],
)
def test_which_ports_are_open(pods: Person, ports: list[Any], expected: set[str]) -> None:
    places = [("tcp", 8080), ("tcp", 8081), ("tcp", 8082), ("udp", 8080)]

    def reached() -> set[str]:
        return {
            f"{network} {port}"
            for network, port in places
            if probes.dial(pods, HERE, "friend", server(pods, port), network) == REACHED
        }

    with policy(pods, {"role": "server"}, policyTypes=["Ingress"], ingress=[{"ports": ports}]):
        becomes(expected, reached)


def test_a_pod_reaches_itself_whatever_isolates_it(pods: Person) -> None:
    with policy(pods, {"role": "server"}, policyTypes=["Ingress", "Egress"]):
        becomes(set(), lambda: reaching(pods, server(pods)))
        assert probes.dial(pods, HERE, "server", server(pods)) == REACHED


def test_a_named_port_is_each_peers_own(pods: Person) -> None:
    egress = [{"ports": [{"port": "web"}]}]
    with policy(pods, {"name": "friend"}, policyTypes=["Egress"], egress=egress):
        other = probes.address(pods, HERE, "other-server")
        places = [server(pods, 8080), server(pods, 8082), f"{other}:8080", f"{other}:8082"]
        becomes(
            [REACHED, REFUSED, REFUSED, REACHED],
            lambda: [probes.dial(pods, HERE, "friend", each) for each in places],
        )


def test_a_pod_that_may_only_ask_dns_reaches_nothing_else(pods: Person) -> None:
    dns = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    with socket.create_server((layout.HOST_ADDRESS, 0)) as outside:
        places = {
            "the host": f"{layout.HOST_ADDRESS}:{outside.getsockname()[1]}",
            "the API": f"{layout.API_SERVICE}:443",
            "the API's own address": f"{layout.NODE_ADDRESS}:6443",
            "the kubelet": f"{layout.NODE_ADDRESS}:10250",
            "a pod": server(pods),
            "DNS": f"{layout.DNS_SERVICE}:53",
        }

        def reached() -> set[str]:
            return {
                name
                for name, to in places.items()
                if probes.dial(pods, HERE, "friend", to) == REACHED
            }

        assert reached() == set(places)
        with policy(pods, {"name": "friend"}, policyTypes=["Egress"], egress=[{"to": [dns]}]):
            becomes({"DNS"}, reached)
            name = "kubernetes.default.svc.cluster.local"
            found = pods.kubectl("exec", "-n", HERE, "friend", "--", "/probe", "lookup", name)
            assert found == layout.API_SERVICE
        block = {"ipBlock": {"cidr": f"{layout.HOST_ADDRESS}/32"}}
        with policy(pods, {"name": "friend"}, policyTypes=["Egress"], egress=[{"to": [block]}]):
            becomes({"the host"}, reached)


def test_a_label_that_changes_counts_at_once(pods: Person) -> None:
    with policy(pods, {"role": "server"}, policyTypes=["Ingress"], ingress=[{"from": [FRIENDS]}]):
        becomes({"friend"}, lambda: reaching(pods, server(pods)))
        pods.kubectl("label", "pod", "stranger", "-n", HERE, "role=client")
        becomes({"friend", "stranger"}, lambda: reaching(pods, server(pods)))
        pods.kubectl("label", "pod", "stranger", "-n", HERE, "role-")
        becomes({"friend"}, lambda: reaching(pods, server(pods)))


def test_the_first_packet_of_a_new_pod_is_judged(pods: Person) -> None:
    """Neither is it let out before its rules are there, nor lost when they let it out."""
    to = server(pods)
    new = [probes.pod(HERE, f"new-{n}", "dial", "tcp", to, labels={"new": "yes"}) for n in range(4)]
    egress = [{"to": [{"podSelector": {"matchLabels": {"role": "server"}}}]}]
    for expected, allowed in ((REFUSED, []), (REACHED, egress)):
        with policy(pods, {"new": "yes"}, policyTypes=["Egress"], egress=allowed):
            probes.apply(pods, *new)
            pods.kubectl(
                *("wait", "-n", HERE, "--for=jsonpath={.status.phase}=Succeeded", "pod"),
                *("-l", "new=yes", "--timeout=60s"),
            )
            said = pods.kubectl("logs", "-n", HERE, "-l", "new=yes")
            assert said.count(expected) == len(new), said
            pods.kubectl("delete", "pod", "-n", HERE, "-l", "new=yes", "--timeout=60s")


def test_the_rules_of_a_removed_pod_go(pods: Person) -> None:
    with policy(pods, {"name": "passing"}, policyTypes=["Ingress", "Egress"]):
        probes.apply(pods, probes.pod(HERE, "passing"))
        probes.await_ready(pods, HERE)
        address = probes.address(pods, HERE, "passing")
        assert f"egress-{address}" in probes.on_the_node("nft", "list", "ruleset")
        pods.kubectl("delete", "pod", "passing", "-n", HERE, "--timeout=60s")
        becomes(False, lambda: address in probes.on_the_node("nft", "list", "ruleset"))


def test_an_enforcer_that_is_killed_leaves_all_closed_and_comes_back(pods: Person) -> None:
    def enforcer() -> int:
        for process in Path("/proc").glob("[0-9]*"):
            try:
                argv = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if argv[1:2] == [b"policies"]:
                return int(process.name)
        return 0

    with policy(pods, {"role": "server"}, policyTypes=["Ingress"], ingress=[{"from": [FRIENDS]}]):
        becomes({"friend"}, lambda: reaching(pods, server(pods)))
        killed = enforcer()
        os.kill(killed, signal.SIGKILL)
        assert reaching(pods, server(pods)) == {"friend"}
        eventually(lambda: enforcer() not in (0, killed))
    becomes(set(CLIENTS), lambda: reaching(pods, server(pods)))


def test_the_kubelet_and_a_forwarded_port_reach_an_isolated_pod(pods: Person) -> None:
    with policy(pods, {"name": "probed"}, policyTypes=["Ingress", "Egress"]):
        probed = probes.pod(HERE, "probed", "listen", "tcp:8080")
        probed["spec"]["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 8080}}
        probes.apply(pods, probed)
        probes.await_ready(pods, HERE)
        pods.kubectl("delete", "pod", "probed", "-n", HERE, "--timeout=60s")
