"""A cluster that cannot be reached or used, and requests that cannot be carried out."""

from __future__ import annotations

import json
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import layout

from ..conftest import CONTEXT
from ..machine import eventually
from . import node
from .harness import Stand, fault

# A context of the person's own: the local cluster's has its own doors.
NAMED = f"--context {CONTEXT}"


def kubeconfig(stand: Stand, cluster: dict[str, Any] | None = None, **user: Any) -> Path:
    """Give the person another kubeconfig: the admin's with other fields."""
    config = json.loads(stand.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    config["contexts"][0]["name"] = config["current-context"] = CONTEXT
    config["clusters"][0]["cluster"].update(cluster or {})
    if user:
        config["users"][0]["user"] = user
    path = stand.person.home / "kubeconfig"
    path.write_text(json.dumps(config))
    path.chmod(0o600)
    stand.environment["KUBECONFIG"] = str(path)
    return path


@fault(
    "an API server where nothing listens",
    f"verify {NAMED}",
    "cluster-unreachable",
    exit=3,
    telling=True,
    alone=True,
)
def unreachable(stand: Stand) -> Iterator[None]:
    kubeconfig(stand, {"server": "https://127.0.0.1:9"})
    yield


@fault(
    "an API server that hangs",
    f"verify {NAMED} --timeout 30",
    "cluster-unreachable",
    exit=3,
    alone=True,
)
def hangs(stand: Stand) -> Iterator[None]:
    with node.stopped("kube-apiserver"):
        yield
    eventually(lambda: bool(stand.get("/api/v1/namespaces/default")), 60)


@fault(
    "an API server that accepts and never answers",
    f"verify {NAMED} --timeout 30",
    "api-slow",
    exit=5,
    alone=True,
)
def silent(stand: Stand) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        kubeconfig(stand, {"server": f"http://127.0.0.1:{server.getsockname()[1]}"})
        yield


@fault(
    "an API server whose certificate is of another authority",
    f"verify {NAMED}",
    "api-certificate-refused",
    exit=3,
    alone=True,
)
def certificate(stand: Stand) -> Iterator[None]:
    other = (layout.PKI / "front-proxy-ca.crt").read_text()
    config = {"certificate-authority": str(stand.person.home / "other.crt")}
    (stand.person.home / "other.crt").write_text(other)
    path = kubeconfig(stand)
    changed = json.loads(path.read_text())
    del changed["clusters"][0]["cluster"]["certificate-authority-data"]
    changed["clusters"][0]["cluster"].update(config)
    path.write_text(json.dumps(changed))
    yield


@fault(
    "a token that the API server does not know",
    f"verify {NAMED}",
    "identity-refused",
    exit=3,
    alone=True,
)
def identity(stand: Stand) -> Iterator[None]:
    kubeconfig(stand, token="not-a-token-of-this-cluster")
    yield


@fault(
    "an account without any right",
    f"up postgres {NAMED}",
    "permission-missing",
    exit=4,
    telling=True,
    says="cannot",
)
def permission(stand: Stand) -> Iterator[None]:
    token = stand.kubectl("create", "token", "default").strip()
    kubeconfig(stand, token=token)
    yield


@fault(
    "a context that is not in the kubeconfig",
    "verify --context nowhere",
    "kubectl-failed",
    exit=3,
    alone=True,
)
def no_context(stand: Stand) -> Iterator[None]:
    yield


@fault("a kubeconfig that is none", "cluster up", "kubeconfig-unusable", exit=3, alone=True)
def no_kubeconfig(stand: Stand) -> Iterator[None]:
    path = stand.person.home / "kubeconfig"
    path.write_text("clusters: [broken")
    stand.environment["KUBECONFIG"] = str(path)
    yield


@fault(
    "another cluster under the local one's name",
    "cluster up",
    "local-cluster-context-taken",
    exit=3,
    alone=True,
)
def context_taken(stand: Stand) -> Iterator[None]:
    path = kubeconfig(stand, {"server": "https://127.0.0.1:9"})
    config = json.loads(path.read_text())
    config["clusters"][0]["name"] = config["contexts"][0]["context"]["cluster"] = CONTEXT
    path.write_text(json.dumps(config))
    yield


@fault(
    "no Minikube, where it is asked for",
    "verify --cluster minikube",
    "cluster-not-found",
    exit=3,
    alone=True,
)
def no_minikube(stand: Stand) -> Iterator[None]:
    yield


@fault(
    "a minikube that answers nonsense",
    "verify --cluster minikube",
    "minikube-broken",
    exit=3,
    alone=True,
)
def minikube_broken(stand: Stand) -> Iterator[None]:
    program = stand.person.home / "bin" / "minikube"
    program.write_text("#!/bin/sh\necho nonsense; exit 1\n")
    program.chmod(0o755)
    try:
        yield
    finally:
        program.unlink()


@fault("no kubectl", f"verify {NAMED}", "kubectl-missing", exit=3, alone=True)
def no_kubectl(stand: Stand) -> Iterator[None]:
    stand.environment["PATH"] = str(stand.person.home)
    yield


@fault(
    "a command line that is not understood",
    "verify zookeeper",
    "usage",
    exit=2,
    says="zookeeper",
    alone=True,
)
def usage(stand: Stand) -> Iterator[None]:
    yield


@fault(
    "a setting that does not exist",
    "up postgres ",
    "settings-invalid",
    exit=2,
    says="did you mean memory?",
)
def unknown_setting(stand: Stand) -> Iterator[None]:
    stand.settings('[postgres]\nmemroy = "1Gi"\n')
    yield


@fault("a settings file that is no TOML", "up", "settings-invalid", exit=2)
def no_toml(stand: Stand) -> Iterator[None]:
    stand.settings("[postgres\n")
    yield


@fault("a number of brokers that was changed", "up kafka", "setting-fixed", exit=2, says="brokers")
def brokers_changed(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "kafka").exit_code == 0
    stand.settings("[kafka]\nbrokers = 3\n")
    yield


@fault("a volume's size that was changed", "up postgres", "setting-fixed", exit=2, says="volume")
def volume_changed(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    stand.settings('[postgres]\nvolume = "3Gi"\n')
    yield


@fault("a port of `connect` that is taken", "connect postgres", "host-port-taken", exit=2)
def port_taken(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    with socket.create_server(("127.0.0.1", 15432)):
        yield


@fault("a Service of another's", "up postgres", "foreign-object", says="service/postgres")
def foreign(stand: Stand) -> Iterator[None]:
    stand.kubectl("create", "service", "clusterip", "postgres", "--tcp=5432")
    yield
    stand.kubectl("delete", "service", "postgres")


@fault("a namespace without the services", "verify", "not-deployed", alone=True)
def not_deployed(stand: Stand) -> Iterator[None]:
    yield


def policy(stand: Stand, resource: str) -> list[dict[str, Any]]:
    """A policy of the cluster's that lets nobody connect to pods of the namespace."""
    version = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CONNECT"],
        "resources": [resource],
    }
    selector = {"matchLabels": {"kubernetes.io/metadata.name": stand.namespace}}
    return [
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": "tuesday"},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "not on a Tuesday"}],
            },
        },
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": "tuesday"},
            "spec": {
                "policyName": "tuesday",
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": selector},
            },
        },
    ]


def _closed(stand: Stand) -> bool:
    argv = stand.person.kubectl_command("-n", stand.namespace, "exec", "postgres-0", "--", "true")
    done = subprocess.run(argv, env=stand.person.environment, capture_output=True, timeout=60)
    return done.returncode != 0


@fault(
    "a policy that refuses exec into pods",
    "verify postgres",
    "stream-refused",
    exit=4,
    telling=True,
    says="not on a Tuesday",
)
def no_exec(stand: Stand) -> Iterator[None]:
    stand.create(*policy(stand, "pods/exec"))
    try:
        eventually(lambda: _closed(stand))
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            stand.kubectl("delete", kind, "tuesday")
        eventually(lambda: not _closed(stand))
