"""A real upstream Kubernetes of one node on this machine, for when there is no other."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from learnflow_infra.cluster.local.provider import LocalCluster

__all__ = ["LocalCluster"]


def __getattr__(name: str) -> Any:
    """Load the provider when it is asked for: the node's own processes run without it."""
    if name == "LocalCluster":
        from learnflow_infra.cluster.local.provider import LocalCluster

        return LocalCluster
    raise AttributeError(name)
