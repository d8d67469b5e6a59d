"""A real upstream Kubernetes of one node on this machine, for when there is no other."""

from learnflow_infra.cluster.local.provider import LocalCluster

__all__ = ["LocalCluster"]
