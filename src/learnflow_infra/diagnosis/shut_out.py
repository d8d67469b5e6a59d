"""Why a client in the cluster does not reach a service that answers from the host: policies.

Only what surely keeps clients out is told: an odd policy may let them through.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, by_name, mapping, name_of, objects
from learnflow_infra.kubernetes.routes import BLOCKED, InCluster
from learnflow_infra.services import Service, client
from learnflow_infra.settings import SCOPE, Settings

_MOST_NAMED = 3
_DNS_PORT = 53
_ADDRESS = re.compile(r", (\S+):(\d+): ")


def shut_out(kube: Kube, settings: Settings, service: Service, found: Finding) -> Finding:
    """The finding of a client's failed connection, with the policy that it failed of if one did."""
    of_dns = found.code == "dns-unavailable"
    if not of_dns and not found.message.endswith(BLOCKED):
        return found
    namespace = settings.cluster.namespace
    try:
        policies = kube.list("NetworkPolicy", namespace)
    except Failure:  # it may not be read
        policies = []
    desired = next(each for each in service.objects(settings) if each["kind"] == "NetworkPolicy")
    live = by_name(policies)
    current = live.pop(name_of(desired), None)
    if not of_dns and (current is None or current.get("spec") != desired["spec"]):
        how = "is not there" if current is None else "is not as `up` makes it"
        message = f"{found.message}; NetworkPolicy {name_of(desired)} {how}"
        return finding("policy-differs", message, service=service.name)
    pod = manifests.labels(client(service).name) | settings.security.client_labels
    servers = None if of_dns else manifests.labels(service.name)
    address = _ADDRESS.search(found.message)
    port = _DNS_PORT if of_dns or address is None else int(address[2])
    if denying := denying_egress(list(live.values()), pod, port, servers):
        named = ", ".join(denying[:_MOST_NAMED])
        message = f"{found.message}; NetworkPolicy {named} lets no client out to port {port}"
        remedy = f"Let clients: `{_additive(settings)}`; then repeat."
        return finding("policy-of-others", message, service=service.name, remedy=remedy)
    if of_dns and _server_finds(kube, settings, service):
        message = f"{found.message}; it answers the servers' pods"
        return replace(finding("dns-shut", message), service=found.service)
    return found


def denying_egress(
    policies: Sequence[Object], pod: Mapping[str, str], port: int, to: Mapping[str, str] | None
) -> list[str]:
    """The policies that together keep a pod from a port: of pods with labels in its namespace, or
    of somewhere else for None. Empty where one may let it through, or none isolates it.

    https://kubernetes.io/docs/concepts/services-networking/network-policies/
    """
    isolating = [
        each
        for each in policies
        if _selects(at(each, "spec", "podSelector"), pod) and _is_of_egress(mapping(each["spec"]))
    ]
    rules = [rule for each in isolating for rule in objects(at(each, "spec", "egress"))]
    if any(_may_pass(rule, port, to) for rule in rules):
        return []
    return [name_of(each) for each in isolating]


def _is_of_egress(spec: Object) -> bool:
    return "Egress" in (spec.get("policyTypes") or (["Egress"] if "egress" in spec else []))


def _may_pass(rule: Object, port: int, to: Mapping[str, str] | None) -> bool:
    ports, peers = list(objects(rule.get("ports"))), list(objects(rule.get("to")))
    return (not ports or any(_covers(each, port) for each in ports)) and (
        not peers or any(_may_be(each, to) for each in peers)
    )


def _covers(ports: Object, port: int) -> bool:
    first = ports.get("port")
    if not isinstance(first, int):  # all ports, or one by its name
        return True
    last = ports.get("endPort")
    return first <= port <= (last if isinstance(last, int) else first)


def _may_be(peer: Object, to: Mapping[str, str] | None) -> bool:
    if set(peer) != {"podSelector"}:  # another namespace's pods, or addresses
        return True
    return to is not None and _selects(peer["podSelector"], to)


def _selects(selector: Any, labels: Mapping[str, str]) -> bool:
    """Whether a label selector fits; an operator that is not known does."""
    exact = mapping(at(selector, "matchLabels"))
    return exact.items() <= labels.items() and all(
        _fits(each, labels) for each in objects(at(selector, "matchExpressions"))
    )


def _fits(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = str(expression.get("key")), expression.get("values") or ()
    return {
        "In": labels.get(key) in values,
        "NotIn": labels.get(key) not in values,
        "Exists": key in labels,
        "DoesNotExist": key not in labels,
    }.get(str(expression.get("operator")), True)


def _additive(settings: Settings) -> str:
    """What lets clients out where policies isolate them: to the scope's pods, and to DNS."""
    dns = [{"protocol": protocol, "port": _DNS_PORT} for protocol in ("UDP", "TCP")]
    scope = {"podSelector": {"matchLabels": {manifests.SCOPE_LABEL: SCOPE}}}
    manifest = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "learnflow-clients-out",
            "namespace": settings.cluster.namespace,
        },
        "spec": {
            "podSelector": {"matchLabels": settings.security.client_labels},
            "policyTypes": ["Egress"],
            "egress": [{"to": [scope]}, {"ports": dns}],
        },
    }
    text = json.dumps(manifest, separators=(",", ":"))
    return f"echo {shlex.quote(text)} | kubectl apply -f -"


def _server_finds(kube: Kube, settings: Settings, service: Service) -> bool:
    pod, host = service.pods(settings)[0], f"{service.name}.{settings.cluster.namespace}.svc"
    with InCluster(kube, settings.cluster.namespace, pod, service.name) as inside:
        return bool(inside.finds(host))
