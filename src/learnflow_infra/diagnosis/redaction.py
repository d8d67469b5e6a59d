"""What must not be shown, whatever a log or an event holds: the values of Secrets.

Raises Failure where they cannot be read: then what may hold them is not shown either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import quote

from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, objects, text
from learnflow_infra.kubernetes.secrets import decoded

# Values of a connection Secret that are no secrets, and would only blur what is said.
_PUBLIC = {"type", "provider", "host", "port", "username", "database", "dbname"}
_PUBLIC |= {"bootstrap.servers", "bootstrap-servers", "security.protocol", "sasl.mechanism"}
_SHORTEST = 6
_TERMINAL = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?", re.DOTALL)
_TELLING = re.compile("pass|secret|token|key|credential|auth", re.IGNORECASE).search


def of_scope(kube: Kube, namespace: str) -> set[str]:
    """The scope's secrets, line by line, plain and as in a URL."""
    return _lines(_values(kube.list("Secret", namespace, manifests.SCOPE_SELECTOR)))


def of_pods(kube: Kube, namespace: str, pods: Iterable[Object]) -> set[str]:
    """What any pods are given of Secrets, and as variables with a telling name."""
    names, variables = set[str](), list[Object]()
    for pod in pods:
        names |= _references(pod)
        for kind in ("containers", "initContainers"):
            for container in objects(at(pod, "spec", kind)):
                variables += objects(container.get("env"))
    found = [kube.get("Secret", namespace, name) for name in sorted(names)]
    telling = [text(each.get("value")) for each in variables if _TELLING(text(each.get("name")))]
    return _lines((*_values(each for each in found if each), *telling))


def redacted(line: str, secrets: Iterable[str]) -> str:
    """The line without control codes, its secrets hidden. The longest secrets come first."""
    clean = "".join(c if c.isprintable() else " " for c in _TERMINAL.sub("", line))
    for secret in secrets:
        clean = clean.replace(secret, "***")
    return clean


def _references(pod: Object) -> set[str]:
    """The Secrets that variables and volumes are filled from, wherever the reference stands."""
    found, left = set[str](), [pod.get("spec")]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            for key in ("secretKeyRef", "secretRef", "secret"):
                named = {text(at(each, key, name)) for name in ("name", "secretName")}
                found |= named - {""}
            left += each.values()
        elif isinstance(each, list):
            left += each
    return found


def _values(secrets: Iterable[Object]) -> Iterable[str]:
    for secret in secrets:
        for key, value in decoded(secret).items():
            if key not in _PUBLIC:
                yield value


def _lines(values: Iterable[str]) -> set[str]:
    lines = {line for each in values for line in (*each.splitlines(), quote(each, safe=""))}
    return {each.strip() for each in lines if len(each.strip()) >= _SHORTEST}
