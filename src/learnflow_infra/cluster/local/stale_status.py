"""Stale status: what the API says of the node's last life, until the kubelet reports again.

After a restart the API would call the node Ready and its pods running for up to 50 s, while
nothing runs. So before the kubelet starts, what it last said is marked as no longer known.
"""

from __future__ import annotations

import datetime
from typing import Any

from learnflow_infra.cluster.local import layout
from learnflow_infra.cluster.local.api import Api, ApiRefused

_NODE = f"/api/v1/nodes/{layout.NAME}"
_UNWELL_TAINTS = {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}


def mark(api: Api) -> bool:
    """Mark the node and its pods as not known to be ready. False if the cluster is a new one."""
    try:
        api.get(_NODE)
    except ApiRefused as error:
        if error.status == 404:
            return False
        raise
    api.patch(f"{_NODE}/status", {"status": {"conditions": [_condition("Ready", "Unknown")]}})
    pods = api.get(f"/api/v1/pods?fieldSelector=spec.nodeName={layout.NAME}")
    for pod in pods["items"]:
        if pod["status"].get("phase") == "Running":
            meta = pod["metadata"]
            path = f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}/status"
            api.patch(path, {"status": _not_ready(pod["status"])})
    return True


def node_is_ready(api: Api) -> bool:
    """Whether the kubelet has called the node Ready since `mark`, and pods are let onto it."""
    try:
        node = api.get(_NODE)
    except ApiRefused:
        return False
    taints = {taint["key"] for taint in node["spec"].get("taints", [])}
    conditions = {each["type"]: each["status"] for each in node["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and not taints & _UNWELL_TAINTS


def _not_ready(status: dict[str, Any]) -> dict[str, Any]:
    containers = [{**each, "ready": False} for each in status.get("containerStatuses", [])]
    return {
        "conditions": [_condition("Ready", "False"), _condition("ContainersReady", "False")],
        "containerStatuses": containers,
    }


def _condition(kind: str, status: str) -> dict[str, str]:
    return {
        "type": kind,
        "status": status,
        "reason": "NodeRestarted",
        "message": "The node was restarted; its kubelet has not reported yet.",
        "lastTransitionTime": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
