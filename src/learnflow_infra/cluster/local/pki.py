"""The cluster's certificates and the kubeconfigs that carry them.

Three authorities, as upstream asks: what one of them signs opens nothing of the others. Made
once; valid for as long as a developer's cluster can be expected to live.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from learnflow_infra.cluster.local import layout
from learnflow_infra.host import x509

_DAYS = 3650

# The kubeconfigs: whose it is, the user's name and groups.
_USERS = {
    "admin": ("learnflow-local-admin", ["system:masters"]),
    "controller-manager": ("system:kube-controller-manager", []),
    "scheduler": ("system:kube-scheduler", []),
    "kubelet": (f"system:node:{layout.NAME}", ["system:nodes"]),
    "proxy": ("system:kube-proxy", []),
    "dns": ("system:coredns", []),
    "storage": ("learnflow:storage", []),
    "policies": ("learnflow:policies", []),
}


def ensure() -> None:
    """Make the certificates, keys and kubeconfigs, all anew unless there are those of all users."""
    done, users = layout.PKI / "complete", "\n".join(_USERS)
    if done.exists() and done.read_text() == users:
        return
    done.unlink(missing_ok=True)
    for folder in (layout.PKI, layout.CONFIG):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster = _Authority("ca", "learnflow-local-ca")
    etcd = _Authority("etcd-ca", "learnflow-local-etcd")
    front = _Authority("front-proxy-ca", "learnflow-local-front-proxy")
    cluster.issue(
        "apiserver",
        "kube-apiserver",
        names=[
            *("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
            *("kubernetes.default.svc.cluster.local", layout.NAME),
            *(layout.NODE_ADDRESS, layout.API_SERVICE),
        ],
    )
    cluster.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client")
    cluster.issue("kubelet-server", layout.NAME, names=[layout.NAME, layout.NODE_ADDRESS])
    cluster.issue("loopback", "localhost", names=["localhost", x509.LOCALHOST])
    etcd.issue("etcd", "etcd", names=[x509.LOCALHOST])
    etcd.issue("apiserver-etcd-client", "kube-apiserver-etcd-client")
    front.issue("front-proxy-client", "front-proxy-client")
    _service_account_key()
    for user, (name, groups) in _USERS.items():
        cluster.issue(user, name, groups=groups)
        _kubeconfig(user)
    done.write_text(users)


class _Authority:
    def __init__(self, file: str, name: str) -> None:
        self._authority = x509.Authority.new(name, _DAYS)
        _write(file, self._authority.pair)

    def issue(
        self, file: str, name: str, *, groups: Sequence[str] = (), names: Sequence[str] = ()
    ) -> None:
        # etcd's server is a client of itself, for its gateway.
        pair = self._authority.issue(name, _DAYS, groups=groups, alternatives=names, client=True)
        _write(file, pair)


def _write(file: str, pair: x509.CertificateAndKey) -> None:
    _save(layout.PKI / f"{file}.crt", pair.certificate.encode())
    _save(layout.PKI / f"{file}.key", pair.key.encode())


def _service_account_key() -> None:
    from cryptography.hazmat.primitives import serialization

    key = x509.new_key()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _save(layout.PKI / "service-accounts.key", x509.private_pem(key).encode())
    _save(layout.PKI / "service-accounts.pub", public)


def _kubeconfig(user: str) -> None:
    """A kubeconfig that names the files, so that no key is in two places."""
    cluster = {
        "server": layout.API_SERVER,
        "certificate-authority": str(layout.PKI / "ca.crt"),
    }
    identity = {
        "client-certificate": str(layout.PKI / f"{user}.crt"),
        "client-key": str(layout.PKI / f"{user}.key"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": layout.NAME, "cluster": cluster}],
        "users": [{"name": user, "user": identity}],
        "contexts": [{"name": layout.NAME, "context": {"cluster": layout.NAME, "user": user}}],
        "current-context": layout.NAME,
    }
    _save(layout.kubeconfig(user), json.dumps(config, indent=1).encode())


def _save(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
