"""Certificates that no deployment signs: of a life that is nearly over, of others' authorities."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from learnflow_infra.host.x509 import Authority, CertificateAndKey


def of_a_year(signer: Authority, names: Iterable[str], *, left: int) -> CertificateAndKey:
    """A server's certificate of a year, of which so many days are left."""
    pair = signer.issue("server", 365, alternatives=names, client=False)
    made = x509.load_pem_x509_certificate(pair.certificate.encode())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(made.issuer)
        .public_key(made.public_key())
        .serial_number(made.serial_number)
        .not_valid_before(now + datetime.timedelta(days=left - 365))
        .not_valid_after(now + datetime.timedelta(days=left))
    )
    for extension in made.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    key = serialization.load_pem_private_key(signer.pair.key.encode(), None)
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return CertificateAndKey(signed.public_bytes(serialization.Encoding.PEM).decode(), pair.key)
