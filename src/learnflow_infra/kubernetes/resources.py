"""All that is asked of the Kubernetes API: each kind with its place and the verbs used on it.

`client` asks for nothing that is not here, and `role` prints it as the rights that the tool needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote


@dataclass(frozen=True)
class Resource:
    """A kind, or a subresource of one, with RBAC's verbs of what is asked of it."""

    group: str  # "" is the core group
    version: str
    plural: str
    subresource: str = ""
    in_namespace: str = ""
    """Asked within the scope's namespace."""
    in_cluster: str = ""
    """Asked across namespaces, or of what has none; nothing fails where it is refused."""
    as_maker: str = ""
    """Asked of a namespace only by who makes and removes it, which no Role inside it can grant."""

    @property
    def rbac_name(self) -> str:
        return f"{self.plural}/{self.subresource}" if self.subresource else self.plural


_OWN = "get list create patch delete"
# A stream is opened by GET. From Kubernetes 1.35 on the right to create is asked for as well.
_STREAM = "get create"

RESOURCES = {
    "Namespace": Resource(
        "", "v1", "namespaces", in_namespace="get", as_maker="create patch delete"
    ),
    "Node": Resource("", "v1", "nodes", in_cluster="get list"),
    "PersistentVolume": Resource("", "v1", "persistentvolumes", in_cluster="list"),
    "StorageClass": Resource("storage.k8s.io", "v1", "storageclasses", in_cluster="list"),
    # `kubectl exec` gets the pod first.
    "Pod": Resource(
        "", "v1", "pods", in_namespace="get list watch patch delete", in_cluster="list"
    ),
    "Pod/log": Resource("", "v1", "pods", "log", in_namespace="get"),
    "Pod/exec": Resource("", "v1", "pods", "exec", in_namespace=_STREAM),
    "Pod/portforward": Resource("", "v1", "pods", "portforward", in_namespace=_STREAM),
    "Event": Resource("", "v1", "events", in_namespace="list"),
    "Secret": Resource("", "v1", "secrets", in_namespace=f"{_OWN} update"),
    "ConfigMap": Resource("", "v1", "configmaps", in_namespace=_OWN),
    "Service": Resource("", "v1", "services", in_namespace=_OWN),
    "Lease": Resource(
        "coordination.k8s.io", "v1", "leases", in_namespace="get create patch delete"
    ),
    "NetworkPolicy": Resource("networking.k8s.io", "v1", "networkpolicies", in_namespace=_OWN),
    "ResourceQuota": Resource("", "v1", "resourcequotas", in_namespace="list"),
    "StatefulSet": Resource("apps", "v1", "statefulsets", in_namespace=_OWN),
    "Deployment": Resource("apps", "v1", "deployments", in_namespace="list"),
    "ReplicaSet": Resource("apps", "v1", "replicasets", in_namespace="list"),
    "DaemonSet": Resource("apps", "v1", "daemonsets", in_namespace="list", in_cluster="list"),
    "Job": Resource("batch", "v1", "jobs", in_namespace="list"),
    "PersistentVolumeClaim": Resource(
        "", "v1", "persistentvolumeclaims", in_namespace="list delete"
    ),
}
_WITHOUT_NAMESPACE = {"Namespace", "Node", "PersistentVolume", "StorageClass"}


def path(verb: str, kind: str, namespace: str | None, name: str | None = None) -> str:
    """The API's path for a verb on one object or on all of a kind.

    Raises LookupError for what the table does not say: it would be refused to who has the Role.
    """
    resource = RESOURCES[kind]
    scoped = namespace is not None and kind not in _WITHOUT_NAMESPACE
    verbs = resource.in_namespace if scoped else resource.in_cluster
    if kind == "Namespace":
        verbs = f"{resource.in_namespace} {resource.as_maker}"
    if verb not in verbs.split():
        raise LookupError(f"{verb} {kind} is not in the table of what is asked")
    parts = ["api" if not resource.group else f"apis/{resource.group}", resource.version]
    if scoped:
        assert namespace is not None
        parts += ["namespaces", quote(namespace, safe="")]
    parts.append(resource.plural)
    if name is not None:
        parts.append(quote(name, safe=""))
    if resource.subresource:
        parts.append(resource.subresource)
    return "/".join(parts)


def api_version(kind: str) -> str:
    """The group and version of a kind, as manifests name them."""
    resource = RESOURCES[kind]
    return f"{resource.group}/{resource.version}" if resource.group else resource.version


def rules(*, in_namespace: bool) -> Iterator[tuple[str, str, list[str]]]:
    """API group, resource and verbs: within the namespace, or across the cluster."""
    for resource in RESOURCES.values():
        if verbs := resource.in_namespace if in_namespace else resource.in_cluster:
            yield resource.group, resource.rbac_name, verbs.split()
