"""What all manifests share: labels, metadata, pod hardening, and their rendering as YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence

from learnflow_infra.kubernetes.objects import Object, at
from learnflow_infra.kubernetes.secrets import encoded
from learnflow_infra.settings import SCOPE, Settings

SCOPE_LABEL = "learnflow-app/scope"
SCOPE_SELECTOR = f"{SCOPE_LABEL}={SCOPE}"
# Marks what belongs to a service's data: `down` keeps it, `down --purge` removes it.
DATA_LABEL = "learnflow-app/data"
# The name of what belongs to no one service.
SHARED = "learnflow"
# Where a service's client has the connection Secret.
CONNECTION_FOLDER = "/etc/connection"

# A release that asks for more of pods must not keep these from starting again.
_POD_SECURITY_VERSION = "v1.34"
# When a connection Secret's login was last another one.
_LOGIN_CHANGED = "learnflow-app/login-changed"
_LOGIN = (
    *("host", "port", "username", "password", "database", "sslmode"),
    *("bootstrap.servers", "security.protocol"),
)
# Where DNS is in a cluster: CoreDNS's and kube-dns's pods, and NodeLocal DNSCache's address.
_DNS_PEERS = [
    {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    },
    {"ipBlock": {"cidr": "169.254.20.10/32"}},
]


def labels(service: str) -> dict[str, str]:
    """Kubernetes' recommended labels and the scope's.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
    """
    return {
        "app.kubernetes.io/name": service,
        "app.kubernetes.io/instance": "learnflow",
        "app.kubernetes.io/part-of": "learnflow-app",
        "app.kubernetes.io/managed-by": "learnflow-infra",
        SCOPE_LABEL: SCOPE,
    }


def selector(service: str) -> dict[str, str]:
    """What finds a service's pods: a part of `labels` that never changes."""
    return {"app.kubernetes.io/name": service, SCOPE_LABEL: SCOPE}


def selector_text(service: str) -> str:
    return ",".join(f"{key}={value}" for key, value in selector(service).items())


def client_of(service: str) -> str:
    """The name of the workload that is a client of a service like any other."""
    return f"{service}-client"


def pods_text(service: str) -> str:
    """What finds a service's pods and its client's."""
    names = f"app.kubernetes.io/name in ({service},{client_of(service)})"
    return f"{names},{SCOPE_SELECTOR}"


def in_scope(item: Object) -> bool:
    """Whether an object of the cluster carries the scope's label."""
    return SCOPE_LABEL in (at(item, "metadata", "labels") or {})


def metadata(settings: Settings, service: str, name: str, *, data: bool = False) -> Object:
    marks = labels(service) | ({DATA_LABEL: "true"} if data else {})
    return {"name": name, "namespace": settings.cluster.namespace, "labels": marks}


def require_writable(*folders: str) -> str:
    """Lines for a shell that end it where its user may not write to a folder of the pod's volume,
    and say what would have to be otherwise."""
    return f"""\
for each in {" ".join(folders)}; do
  if [ -e "$each" ] && [ ! -w "$each" ]; then
    echo "FATAL: data-$HOSTNAME at $each is not writable: owner" \\
      "$(stat -c '%u:%g, mode %a' "$each"); the server is user $(id -u), groups $(id -G)" >&2
    exit 1
  fi
done
"""


def namespace(settings: Settings) -> Object:
    level = settings.security.pod_security
    # https://kubernetes.io/docs/concepts/security/pod-security-standards/
    modes = {"enforce": level, "enforce-version": _POD_SECURITY_VERSION}
    modes |= {"warn": level, "audit": level}
    marks = labels(SHARED) | {f"pod-security.kubernetes.io/{k}": v for k, v in modes.items()}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": settings.cluster.namespace, "labels": marks},
    }


def network_policy(
    settings: Settings, name: str, *, clients: Sequence[int], peers: Sequence[int] = ()
) -> Object:
    """Closes a service's pods but for these TCP ports: to clients, and among themselves.

    All that they may reach is DNS and each other.
    """
    own = [{"podSelector": {"matchLabels": selector(name)}}]
    labelled = _clients(settings)
    ingress: list[Object] = [{"from": labelled, "ports": _ports("TCP", clients)}]
    egress: list[Object] = [
        {"to": _DNS_PEERS, "ports": [*_ports("UDP", [53]), *_ports("TCP", [53])]}
    ]
    if peers:
        ingress.append({"from": own, "ports": _ports("TCP", peers)})
        egress.append({"to": own, "ports": _ports("TCP", peers)})
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(settings, name, name),
        "spec": {
            "podSelector": {"matchLabels": selector(name)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,
            "egress": egress,
        },
    }


def _clients(settings: Settings) -> list[Object]:
    """A policy's peers: the clients in the services' namespace, and in the others that may."""
    pods: Object = {"podSelector": {"matchLabels": dict(settings.security.client_labels)}}
    return [
        pods,
        *(
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}, **pods}
            for name in settings.security.client_namespaces
        ),
    ]


def _ports(protocol: str, numbers: Sequence[int]) -> list[Object]:
    return [{"protocol": protocol, "port": number} for number in numbers]


def secret(
    settings: Settings,
    service: str,
    name: str,
    values: Mapping[str, str],
    *,
    kind: str = "Opaque",
    data: bool = False,
) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata(settings, service, name, data=data),
        "type": kind,
        "data": encoded(values),
    }


def is_connection(item: Object) -> bool:
    """Whether it is a Secret that clients bind to."""
    return in_scope(item) and str(item.get("type")).startswith("servicebinding.io/")


def login_changed(item: Object) -> str:
    """When a connection Secret's login was last another one; empty where it never was."""
    return str(at(item, "metadata", "annotations", _LOGIN_CHANGED) or "")


def dated(connection: Object, current: Object | None, now: str) -> Object:
    """A connection Secret with the moment at which its login became what it is."""
    if current is None:
        return connection
    before, after = current.get("data") or {}, connection["data"]
    other = any(before[key] != after[key] for key in _LOGIN if key in before and key in after)
    if not (moment := now if other else login_changed(current)):
        return connection
    annotated = connection["metadata"] | {"annotations": {_LOGIN_CHANGED: moment}}
    return connection | {"metadata": annotated}


def service(
    settings: Settings,
    name: str,
    service_name: str,
    ports: Mapping[str, int],
    *,
    headless: bool = False,
) -> Object:
    spec: Object = {
        "selector": selector(service_name),
        "ports": [
            {"name": port_name, "port": port, "targetPort": port_name}
            for port_name, port in ports.items()
        ],
    }
    if headless:
        # Members of a quorum must find each other before any of them is ready.
        spec |= {"clusterIP": "None", "publishNotReadyAddresses": True}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(settings, service_name, name),
        "spec": spec,
    }


def stateful_set(
    settings: Settings,
    name: str,
    *,
    governing_service: str,
    replicas: int,
    user: int,
    container: Object,
    volumes: list[Object],
    volume_size: str,
    storage_class: str,
    configuration: Mapping[str, str] | None = None,
) -> Object:
    """A hardened StatefulSet with one volume a pod, mounted by the container as `data`.

    `configuration` is what its pods read at their start: they are replaced when it changes.
    """
    claim: Object = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": volume_size}},
    }
    if storage_class:
        claim["storageClassName"] = storage_class
    claims = [
        {
            "metadata": {"name": "data", "labels": labels(name) | {DATA_LABEL: "true"}},
            "spec": claim,
        }
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(settings, name, name),
        "spec": {
            "serviceName": governing_service,
            "replicas": replicas,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": selector(name)},
            "template": {
                "metadata": {"labels": labels(name)} | _marked(configuration),
                "spec": _pod(user, container | {"name": name}, volumes),
            },
            "volumeClaimTemplates": claims,
        },
    }


def client(
    settings: Settings,
    service: str,
    *,
    image: str,
    user: int,
    memory: str,
    environment: Mapping[str, str],
) -> Object:
    """A StatefulSet of one pod that does nothing, and is a client of the service as an
    application's is: what connects from it goes the way that all clients go.

    It has the connection Secret at CONNECTION_FOLDER; `memory` is what the service's own tools
    may take in it. The image is the service's, which is on the node already.
    """
    name = client_of(service)
    mounted = {"secretName": f"{service}-connection", "defaultMode": 0o440}
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "resources": {
            "requests": {"cpu": "1m", "memory": "8Mi"},
            "limits": {"memory": memory},
        },
        "volumeMounts": [
            {"name": "connection", "mountPath": CONNECTION_FOLDER, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
    }
    if environment:
        container["env"] = [{"name": key, "value": value} for key, value in environment.items()]
    volumes = [
        {"name": "connection", "secret": mounted},
        # A limit would evict the pod when somebody copies a dump here.
        {"name": "tmp", "emptyDir": {}},
    ]
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(settings, service, name),
        "spec": {
            "serviceName": service,
            "replicas": 1,
            "selector": {"matchLabels": selector(name)},
            "template": {
                "metadata": {"labels": labels(name) | settings.security.client_labels},
                "spec": _pod(user, container, volumes) | {"terminationGracePeriodSeconds": 1},
            },
        },
    }


def _pod(user: int, container: Object, volumes: list[Object]) -> Object:
    """A pod's spec that meets the restricted Pod Security Standard and asks for no token."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        # The sandbox's own first process buries orphans, such as a broken-off exec
        # leaves: PostgreSQL as PID 1 takes their end for a crash, Java leaves zombies.
        "shareProcessNamespace": True,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": user,
            "runAsGroup": user,
            "fsGroup": user,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            container
            | {
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
        "volumes": volumes,
    }


def _marked(configuration: Mapping[str, str] | None) -> Object:
    if configuration is None:
        return {}
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    return {"annotations": {"learnflow-app/configuration": digest[:16]}}


def probes(ready_test: str) -> Object:
    """Probes by a shell test. The startup probe itself waits for the test to hold.

    A probe's shortest period is one second; one that blocks reports the start within
    milliseconds, and the kubelet then runs the readiness probe at once.
    """
    shell = ["bash", "-c"]
    # Reading from a pipe that stays empty is a sleep without a process; it always fails.
    until_ready = f"exec 9<> <(:); until {ready_test}; do read -rt 0.1 -u 9 || :; done"
    return {
        "startupProbe": {
            "exec": {"command": [*shell, until_ready]},
            "timeoutSeconds": 20,
            "periodSeconds": 1,
            "failureThreshold": 15,
        },
        "readinessProbe": {
            "exec": {"command": [*shell, ready_test]},
            "timeoutSeconds": 3,
            "periodSeconds": 5,
            "failureThreshold": 2,
        },
    }


def port_open(port: int) -> str:
    """A shell test that starts no process."""
    return f"{{ true 3<>/dev/tcp/localhost/{port}; }} 2>/dev/null"


def to_yaml(objects: Iterable[Object]) -> str:
    """The objects as one YAML stream that `kubectl apply` takes."""
    import yaml

    return yaml.safe_dump_all(objects, sort_keys=False, default_flow_style=False, width=100)
