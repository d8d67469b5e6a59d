"""`cluster up | status | down`: the local cluster on its own."""

from __future__ import annotations

from learnflow_infra.cluster.local import LocalCluster
from learnflow_infra.commands import Request
from learnflow_infra.host import proxies
from learnflow_infra.report import Report


def cluster(request: Request) -> Report:
    """Start, describe or stop the local cluster."""
    proxies.go_around(LocalCluster.addresses)
    local, action, deadline = LocalCluster(), request.options["action"], request.deadline
    if action == "up":
        local.up(deadline, request.say)
    elif action == "down":
        local.down(deadline, request.say, purge=request.options["purge"])
    state = local.state(deadline)
    line = f"local cluster: {state} (context {local.context})"
    return Report("cluster", lines=[line], details={"state": state, "context": local.context})
