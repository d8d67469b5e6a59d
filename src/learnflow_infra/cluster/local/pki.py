"""The cluster's certificates and the kubeconfigs that carry them.

Three authorities, as upstream asks: what one of them signs opens nothing of the others. Made
once; valid for as long as a developer's cluster can be expected to live.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from learnflow_infra.cluster.local import layout

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

_YEARS = 10
_LOCALHOST = "127.0.0.1"

# The kubeconfigs: whose it is, the user's name and groups.
_USERS = {
    "admin": ("learnflow-local-admin", ["system:masters"]),
    "controller-manager": ("system:kube-controller-manager", []),
    "scheduler": ("system:kube-scheduler", []),
    "kubelet": (f"system:node:{layout.NAME}", ["system:nodes"]),
    "proxy": ("system:kube-proxy", []),
    "dns": ("system:coredns", []),
    "storage": ("learnflow:storage", []),
}


def ensure() -> None:
    """Make the certificates, keys and kubeconfigs unless they are all there."""
    done = layout.PKI / "complete"
    if done.exists():
        return
    for folder in (layout.PKI, layout.CONFIG):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    cluster = _Authority("ca", "learnflow-local")
    etcd = _Authority("etcd-ca", "learnflow-local-etcd")
    front = _Authority("front-proxy-ca", "learnflow-local-front-proxy")
    cluster.issue(
        "apiserver",
        "kube-apiserver",
        names=[
            *("kubernetes", "kubernetes.default", "kubernetes.default.svc"),
            *("kubernetes.default.svc.cluster.local", layout.NAME),
        ],
        addresses=[layout.NODE_ADDRESS, layout.API_SERVICE],
    )
    cluster.issue("apiserver-kubelet-client", "kube-apiserver-kubelet-client")
    cluster.issue(
        "kubelet-server", layout.NAME, names=[layout.NAME], addresses=[layout.NODE_ADDRESS]
    )
    cluster.issue("loopback", "localhost", names=["localhost"], addresses=[_LOCALHOST])
    etcd.issue("etcd", "etcd", addresses=[_LOCALHOST])
    etcd.issue("apiserver-etcd-client", "kube-apiserver-etcd-client")
    front.issue("front-proxy-client", "front-proxy-client")
    _service_account_key()
    for user, (name, groups) in _USERS.items():
        cluster.issue(user, name, groups=groups)
        _kubeconfig(user)
    done.touch()


class _Authority:
    def __init__(self, file: str, name: str) -> None:
        from cryptography import x509

        self._key = _new_key()
        self._name = _subject(name, [])
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        certificate = (
            _builder(self._name, self._name, self._key)
            .add_extension(self._identifier, critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(sign=True), critical=True)
        )
        _write(file, self._sign(certificate), self._key)

    def issue(
        self,
        file: str,
        name: str,
        *,
        groups: Sequence[str] = (),
        names: Sequence[str] = (),
        addresses: Sequence[str] = (),
    ) -> None:
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = _new_key()
        # etcd's server is a client of itself, for its gateway.
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = _builder(_subject(name, groups), self._name, key)
        if names or addresses:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
            alternatives = [
                *map(x509.DNSName, names),
                *(x509.IPAddress(ipaddress.ip_address(each)) for each in addresses),
            ]
            builder = builder.add_extension(
                x509.SubjectAlternativeName(alternatives), critical=False
            )
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
                critical=False,
            )
        )
        _write(file, self._sign(builder), key)

    def _sign(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        from cryptography.hazmat.primitives import hashes

        return builder.sign(self._key, hashes.SHA256())


def _new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _subject(name: str, groups: Sequence[str]) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a clock that was set back
        .not_valid_after(now + datetime.timedelta(days=365 * _YEARS))
    )


def _usage(*, sign: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=False,
        key_cert_sign=sign,
        crl_sign=sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(file: str, certificate: x509.Certificate, key: EllipticCurvePrivateKey) -> None:
    from cryptography.hazmat.primitives import serialization

    _save(layout.PKI / f"{file}.crt", certificate.public_bytes(serialization.Encoding.PEM))
    _save(layout.PKI / f"{file}.key", _pem(key))


def _pem(key: EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _service_account_key() -> None:
    from cryptography.hazmat.primitives import serialization

    key = _new_key()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _save(layout.PKI / "service-accounts.key", _pem(key))
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
