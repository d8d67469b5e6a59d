"""Of nodes, and of pods that none of them takes."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "node-not-ready",
        Exit.UNHEALTHY,
        "A node does not work.",
        "Look at it with `kubectl describe node`, or restart it.",
        shared=True,
    ),
    Cause(
        "kubelet-unavailable",
        Exit.UNHEALTHY,
        "A node's kubelet does not run, or has just started and does not know its pods yet.",
        "Repeat in a minute; if it stays, look at the node with `kubectl describe node`, and "
        "restart it.",
        heals=True,
        shared=True,
    ),
    Cause(
        "node-under-pressure",
        Exit.NO_RESOURCES,
        "A node is short of memory, disk or process ids.",
        "Free some of what `kubectl describe node` says is short.",
        shared=True,
    ),
    Cause(
        "node-disk-full",
        Exit.NO_RESOURCES,
        "A node's disk is full.",
        "Remove what is not needed there, or give it more room, then repeat.",
        shared=True,
    ),
    Cause(
        "pod-evicted",
        Exit.NO_RESOURCES,
        "A node has put a pod out for lack of resources.",
        "Free memory or disk on the node, or give the cluster more.",
    ),
    Cause(
        "unschedulable-cpu",
        Exit.NO_RESOURCES,
        "No node has enough CPU left for a pod.",
        "Free some, give the cluster more, or lower cpu in infra.toml.",
    ),
    Cause(
        "unschedulable-memory",
        Exit.NO_RESOURCES,
        "No node has enough memory left for a pod.",
        "Free some, give the cluster more, or lower memory in infra.toml.",
    ),
    Cause(
        "unschedulable-pods",
        Exit.NO_RESOURCES,
        "The nodes may run no more pods.",
        "Remove some, or add a node.",
    ),
    Cause(
        "unschedulable-volume",
        Exit.NO_RESOURCES,
        "A pod's volume is where no node can take the pod.",
        "Bring back a node of the volume's zone, or remove the data with "
        "`learnflow-infra down --purge`.",
    ),
    Cause(
        "unschedulable-affinity",
        Exit.NO_RESOURCES,
        "No node is one that a pod may be on.",
        "Label a node as the named affinity or selector asks, or add one.",
    ),
    Cause(
        "unschedulable-taint",
        Exit.NO_RESOURCES,
        "Every node has a taint that a pod does not tolerate, or is cordoned.",
        "Remove the taint with `kubectl taint`, or `kubectl uncordon` a node.",
    ),
    Cause(
        "unschedulable",
        Exit.NO_RESOURCES,
        "No node can take a pod.",
        "Free resources, or lower cpu and memory in infra.toml.",
    ),
)
