"""The host's side of the node's network: one link, two routes through it, and a fence.

The fence is a route that says `unreachable` for all of the cluster's addresses. It is worth less
than the routes through the link, so that it counts whenever the node is not there: a packet for
a pod never takes the machine's way out. Nothing else of the host's network is touched.
"""

from __future__ import annotations

import ipaddress
import json
import time
from typing import Any

from learnflow_infra.cluster.local import layout
from learnflow_infra.cluster.local.isolation import NODE_LINK
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import run

LINK = layout.NAME
_ALIAS = "learnflow-infra local cluster"  # by this a link is known to be ours
_PROTOCOL = "219"  # by this a route is
_LEAST = "4294967294"
_FENCE = f"unreachable {layout.NETWORK} proto {_PROTOCOL} metric {_LEAST}"
_GONE_SECONDS = 5.0  # the kernel takes a moment to remove an ended namespace's link


def claim(deadline: Deadline) -> None:
    """Make sure that nobody else uses the link's name or the addresses, and put up the fence.

    Raises Failure(local-cluster-address-taken).
    """
    if _foreign(_unplugged(deadline)):
        raise _taken(f"a network interface named {LINK}")
    ours = ipaddress.IPv4Network(layout.NETWORK)
    for route in _ip(deadline, "-4", "route", "show"):
        if str(route.get("protocol")) == _PROTOCOL or route["dst"] == "default":
            continue
        if ipaddress.IPv4Network(route["dst"], strict=False).subnet_of(ours):
            raise _taken(f"the route to {route['dst']} by {route.get('dev', 'nobody')}")
    for link in _ip(deadline, "-4", "address", "show"):
        for address in link.get("addr_info", []):
            if ipaddress.ip_address(address["local"]) in ours:
                raise _taken(f"the address {address['local']} of {link['ifname']}")
    run(["ip", "route", "replace", *_FENCE.split()], deadline=deadline)


def plug(pid: int, deadline: Deadline) -> None:
    """Join the network namespace of the process to the host."""
    via = f"via {layout.NODE_ADDRESS} src {layout.HOST_ADDRESS} proto {_PROTOCOL}"
    commands = f"""\
link add {LINK} type veth peer name {NODE_LINK} netns {pid}
link set {LINK} alias "{_ALIAS}"
address add {layout.HOST_ADDRESS}/{layout.LINK_PREFIX} dev {LINK}
link set {LINK} up
route add {layout.PODS} {via}
route add {layout.SERVICES} {via}
"""
    run(["ip", "-batch", "-"], stdin=commands, deadline=deadline)


def clear(deadline: Deadline) -> None:
    """Take away what `claim` and `plug` made."""
    _unplugged(deadline)
    if any(str(each.get("protocol")) == _PROTOCOL for each in _ip(deadline, "-4", "route", "show")):
        run(["ip", "route", "flush", "proto", _PROTOCOL], deadline=deadline)


def _unplugged(deadline: Deadline) -> dict[str, Any] | None:
    """What has the link's name, once ours of an ended node is gone."""
    limit = deadline.within(_GONE_SECONDS)
    while (link := _link(deadline)) is not None and not _foreign(link):
        if limit.passed():
            run(["ip", "link", "delete", LINK], deadline=deadline)
        time.sleep(0.02)
    return link


def _foreign(link: dict[str, Any] | None) -> bool:
    return link is not None and link.get("ifalias") != _ALIAS


def _link(deadline: Deadline) -> dict[str, Any] | None:
    return next((each for each in _ip(deadline, "link", "show") if each["ifname"] == LINK), None)


def _taken(what: str) -> Failure:
    return Failure(finding("local-cluster-address-taken", f"{what} is in the cluster's way"))


def _ip(deadline: Deadline, *arguments: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(
        run(["ip", "-json", "-details", *arguments], deadline=deadline).stdout or "[]"
    )
    return listed
