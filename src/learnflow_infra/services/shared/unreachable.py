"""What a connection that could not be made means, whichever service it was for."""

from __future__ import annotations

from learnflow_infra.findings.failures import Finding, finding
from learnflow_infra.kubernetes.routes import Route

_CODES = {
    "Name or service not known": "name-unknown",
    "Temporary failure in name resolution": "dns-unavailable",
}


def unreachable(service: str, route: Route, address: str, reason: str) -> Finding:
    """The finding of a failed dial, by the reason that the route gave."""
    code = _CODES.get(reason, "service-unreachable")
    return finding(code, f"{label(route)}, {address}: {reason}", service=service)


def label(route: Route) -> str:
    """Where a route's connections are made, in words."""
    return "in the cluster" if route.name == "cluster" else "from the host"
