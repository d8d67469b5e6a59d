"""`cluster up | status | down`: the local cluster on its own."""

from __future__ import annotations

from learnflow_infra.cluster import Say
from learnflow_infra.cluster.local import LocalCluster
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.report import Report


def cluster(action: str, deadline: Deadline, say: Say, *, purge: bool) -> Report:
    """Start, describe or stop the local cluster. Raises Failure."""
    local = LocalCluster()
    if action == "up":
        local.up(deadline, say)
    elif action == "down":
        local.down(deadline, say, purge=purge)
    state = local.state(deadline)
    line = f"local cluster: {state} (context {local.context})"
    return Report("cluster", lines=[line], details={"state": state, "context": local.context})
