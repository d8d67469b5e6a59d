"""The objects that the cluster brings along: DNS, the StorageClass and who may do what."""

from __future__ import annotations

from typing import Any

from learnflow_infra.cluster.local import layout

_RBAC = "rbac.authorization.k8s.io"
_LABELS = {"app.kubernetes.io/managed-by": layout.NAME}


def baseline() -> list[tuple[str, dict[str, Any]]]:
    """Each object with its path in the API, in the order to apply them in."""
    return [
        *_allowed(
            "system:coredns",
            "system:coredns",
            [
                ("", ["endpoints", "services", "pods", "namespaces"], ["list", "watch"]),
                ("discovery.k8s.io", ["endpointslices"], ["list", "watch"]),
            ],
        ),
        *_allowed(
            "learnflow:storage",
            "learnflow:storage",
            [
                ("", ["persistentvolumes"], ["get", "list", "watch", "create", "patch", "delete"]),
                ("", ["persistentvolumeclaims"], ["get", "list", "watch", "update"]),
                ("", ["nodes"], ["get", "list", "watch"]),
                ("", ["events"], ["create", "update", "patch"]),
                ("storage.k8s.io", ["storageclasses"], ["get", "list", "watch"]),
            ],
        ),
        *_allowed(
            "learnflow:policies",
            "learnflow:policies",
            [
                ("", ["pods", "namespaces"], ["list", "watch"]),
                ("networking.k8s.io", ["networkpolicies"], ["list", "watch"]),
            ],
        ),
        _binding(
            "learnflow:apiserver", "kube-apiserver-kubelet-client", "system:kubelet-api-admin"
        ),
        # The node authorizer learns of a pod a moment after the kubelet does, and a volume refused
        # in that moment is tried again 15 s later. On the only node there is no other to shield.
        _binding("learnflow:node", f"system:node:{layout.NAME}", "system:node"),
        _dns_service(),
        _dns_endpoints(),
        _storage_class(),
    ]


def _allowed(
    name: str, user: str, rules: list[tuple[str, list[str], list[str]]]
) -> list[tuple[str, dict[str, Any]]]:
    role = {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": _LABELS},
        "rules": [
            {"apiGroups": [group], "resources": resources, "verbs": verbs}
            for group, resources, verbs in rules
        ],
    }
    return [(f"/apis/{_RBAC}/v1/clusterroles/{name}", role), _binding(name, user, name)]


def _binding(name: str, user: str, role: str) -> tuple[str, dict[str, Any]]:
    return f"/apis/{_RBAC}/v1/clusterrolebindings/{name}", {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": _LABELS},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }


def _dns_service() -> tuple[str, dict[str, Any]]:
    """Named as everywhere. Without a selector: the server is a process of the node."""
    return "/api/v1/namespaces/kube-system/services/kube-dns", {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": "kube-dns",
            "namespace": "kube-system",
            "labels": {**_LABELS, "k8s-app": "kube-dns"},
        },
        "spec": {
            "clusterIP": layout.DNS_SERVICE,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP"},
                {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
            ],
        },
    }


def _dns_endpoints() -> tuple[str, dict[str, Any]]:
    name = f"kube-dns-{layout.NAME}"
    return f"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices/{name}", {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": "kube-system",
            "labels": {
                "kubernetes.io/service-name": "kube-dns",
                "endpointslice.kubernetes.io/managed-by": layout.NAME,
            },
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [layout.DNS_ADDRESS], "conditions": {"ready": True}}],
        "ports": [
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
        ],
    }


def _storage_class() -> tuple[str, dict[str, Any]]:
    return f"/apis/storage.k8s.io/v1/storageclasses/{layout.VOLUME_CLASS}", {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": layout.VOLUME_CLASS,
            "labels": _LABELS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": layout.VOLUME_PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
    }
