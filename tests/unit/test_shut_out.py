"""Which NetworkPolicies surely keep a client from a service."""

from __future__ import annotations

from typing import Any

import pytest

from learnflow_infra.diagnosis.shut_out import denying_egress

CLIENT = {"app": "web", "learnflow-app/client": "true"}
SERVER = {"app": "db"}
DENY: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Egress"]}


def to(*peers: dict[str, Any], ports: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    rule: dict[str, Any] = {"to": list(peers)} if peers else {}
    return {"egress": [rule | ({"ports": ports} if ports else {})]}


def pods(**labels: str) -> dict[str, Any]:
    return {"podSelector": {"matchLabels": labels}}


def expression(operator: str, *values: str) -> dict[str, Any]:
    one = {"key": "app", "operator": operator, "values": list(values)}
    return {"podSelector": {"matchExpressions": [one]}}


def denying(*specs: dict[str, Any], port: int = 5432, dns: bool = False) -> list[str]:
    policies = [{"metadata": {"name": f"p{n}"}, "spec": each} for n, each in enumerate(specs)]
    return denying_egress(policies, CLIENT, port, None if dns else SERVER)


@pytest.mark.parametrize(
    "spec",
    [
        DENY,
        DENY | {"egress": []},
        DENY | to(pods(app="other")),
        DENY | to(pods(app="db"), ports=[{"port": 53, "protocol": "UDP"}]),
        DENY | to(pods(app="db"), ports=[{"port": 5000, "endPort": 5431}]),
        DENY | {"podSelector": {"matchLabels": {"app": "web"}}},
        DENY | expression("In", "web", "api"),
        DENY | expression("Exists"),
        {"podSelector": {}, "egress": []},  # without policyTypes
    ],
)
def test_what_keeps_a_client_in(spec: dict[str, Any]) -> None:
    assert denying(spec) == ["p0"]


@pytest.mark.parametrize(
    "spec",
    [
        DENY | to(),
        DENY | to(pods(app="db")),
        DENY | to(pods(app="other"), pods(app="db"), ports=[{"port": 5000, "endPort": 6000}]),
        DENY | to(ports=[{"port": "postgres"}]),
        DENY | to({"ipBlock": {"cidr": "10.0.0.0/8"}}),
        DENY | to({"namespaceSelector": {}, **pods(app="other")}),
        DENY | {"podSelector": {"matchLabels": {"app": "other"}}},
        DENY | expression("NotIn", "web"),
        DENY | expression("DoesNotExist"),
        DENY | expression("In", "api"),
        {"podSelector": {}, "policyTypes": ["Ingress"]},
        {"podSelector": {}},
    ],
)
def test_what_may_let_it_out(spec: dict[str, Any]) -> None:
    assert denying(spec) == []


def test_policies_add_up() -> None:
    assert denying(DENY, DENY | to(pods(app="db"))) == []
    assert denying(DENY, DENY | to(pods(app="other"))) == ["p0", "p1"]


def test_pods_of_the_same_namespace_are_not_the_clusters_dns() -> None:
    assert denying(DENY | to({"podSelector": {}}), port=53, dns=True) == ["p0"]
    assert denying(DENY | to(ports=[{"port": 53}]), port=53, dns=True) == []


def test_none_is_no_reason() -> None:
    assert denying() == []
