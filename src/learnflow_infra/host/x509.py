"""Certificates and the authorities that sign them: EC P-256, as PEM."""

from __future__ import annotations

import datetime
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

LOCALHOST = "127.0.0.1"
_CLOCK_SKEW = datetime.timedelta(days=1)  # a clock that was set back


@dataclass(frozen=True)
class CertificateAndKey:
    """A certificate and its private key, as PEM."""

    certificate: str
    key: str


class Authority:
    """Signs certificates with a key of its own."""

    def __init__(self, pair: CertificateAndKey) -> None:
        """Raises ValueError where certificate and key do not belong together, or are none."""
        self.pair = pair
        self.certificate, self._key = _loaded(pair)

    @classmethod
    def new(cls, name: str, days: int) -> Authority:
        """A self-signed authority."""
        from cryptography import x509

        key = new_key()
        subject = _subject(name, ())
        builder = (
            _builder(subject, subject, key, days)
            .add_extension(_identifier(key), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(sign=True), critical=True)
        )
        return cls(CertificateAndKey(_sign(builder, key), private_pem(key)))

    def issue(
        self,
        name: str,
        days: int,
        *,
        groups: Sequence[str] = (),
        alternatives: Iterable[str] = (),
        client: bool,
    ) -> CertificateAndKey:
        """A certificate for a `client`, and for a server where it has alternative names: DNS names
        or IP addresses."""
        from cryptography import x509
        from cryptography.x509.oid import ExtendedKeyUsageOID

        key = new_key()
        uses = [ExtendedKeyUsageOID.CLIENT_AUTH] if client else []
        builder = _builder(_subject(name, groups), self.certificate.subject, key, days)
        if names := [_alternative(each) for each in alternatives]:
            uses.append(ExtendedKeyUsageOID.SERVER_AUTH)
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(
            _identifier(self._key)
        )
        builder = (
            builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(sign=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(issuer, critical=False)
        )
        return CertificateAndKey(_sign(builder, self._key), private_pem(key))

    def needs_renewal(self, pair: CertificateAndKey, alternatives: Iterable[str]) -> bool:
        """Whether a certificate is not of this authority, is for other names than these, or has
        less than a third of its life left."""
        from cryptography import x509
        from cryptography.exceptions import InvalidSignature

        try:
            certificate = _loaded(pair)[0]
            certificate.verify_directly_issued_by(self.certificate)
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return True
        life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        left = certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
        names = {_alternative(each) for each in alternatives}
        return set(extension.value) != names or left <= life / 3


def _loaded(pair: CertificateAndKey) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
    """Raises ValueError where the two do not belong together, or are none."""
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    key = serialization.load_pem_private_key(pair.key.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != (
        certificate.public_key()
    ):
        raise ValueError("the key is not the certificate's")
    return certificate, key


def expires_at(certificate: str) -> datetime.datetime | None:
    """When a certificate expires, in UTC; None where the text is no certificate."""
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(certificate.encode()).not_valid_after_utc
    except ValueError:
        return None


def load_library() -> None:
    """Import what signs (0.1 s): called while something else is waited for."""
    from cryptography import x509  # noqa: F401
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: F401


def new_key() -> EllipticCurvePrivateKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def private_pem(key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import serialization

    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _sign(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey) -> str:
    from cryptography.hazmat.primitives import hashes, serialization

    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _identifier(key: EllipticCurvePrivateKey) -> x509.SubjectKeyIdentifier:
    from cryptography import x509

    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _alternative(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _subject(name: str, groups: Sequence[str]) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, each) for each in groups]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey, days: int
) -> x509.CertificateBuilder:
    from cryptography import x509

    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + datetime.timedelta(days=days))
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
