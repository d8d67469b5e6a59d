"""Which versions of Kubernetes go together: the server with what is applied, kubectl with it."""

from __future__ import annotations

import re

from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.objects import text

# The first whose Pod Security admission, on which the namespace rests, is no preview.
OLDEST = (1, 25)
# https://kubernetes.io/releases/version-skew-policy/#kubectl
_MOST_APART = 1


def of_server(kube: Kube) -> str:
    """The server's version, such as `v1.34.4`; empty where it does not tell. Raises Failure."""
    try:
        return text(kube.request("GET", "version").get("gitVersion"))
    except ApiError:
        return ""


def too_old(server: str) -> str:
    """What is wrong with a server's version; empty where nothing is, or it is not known."""
    minor = _minor(server)
    if minor is None or minor >= OLDEST:
        return ""
    return f"Kubernetes {server} is older than {OLDEST[0]}.{OLDEST[1]}, the first that is supported"


def apart(kubectl: str, server: str) -> str:
    """What is wrong with a kubectl for a server; empty where nothing is, or it is not known."""
    mine, its = _minor(kubectl), _minor(server)
    if mine is None or its is None or mine[0] != its[0] or abs(mine[1] - its[1]) <= _MOST_APART:
        return ""
    return f"kubectl {kubectl} is {abs(mine[1] - its[1])} minor versions from Kubernetes {server}"


def fitting(server: str) -> str:
    """The kubectl versions that go with a server's, in words."""
    major, minor = _minor(server) or OLDEST
    return f"v{major}.{minor - _MOST_APART} to v{major}.{minor + _MOST_APART}"


def _minor(version: str) -> tuple[int, int] | None:
    found = re.match(r"v?(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None
