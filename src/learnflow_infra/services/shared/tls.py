"""TLS as a strict client does it, and what its refusals are taken for."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from typing import Any

from learnflow_infra.findings.failures import Failure, Finding, chain, finding

# `up` renews a certificate long before; one that gets here is a deployment left to itself.
_ENDING_SECONDS = 30 * 86400.0

# X509_V_ERR_… of OpenSSL's x509_vfy.h.
_CODES = {
    9: "certificate-expired",  # not yet valid: the same to a client
    10: "certificate-expired",
    62: "certificate-name",
    64: "certificate-name",
}


def strict(authority: str, service: str) -> ssl.SSLContext:
    """A client's context that trusts the one authority, for the name dialled, from TLS 1.2 on.

    Raises Failure(certificate-authority) where `authority` is no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks certificate and name
    try:
        context.load_verify_locations(cadata=authority)
    except (ssl.SSLError, ValueError) as error:
        message = f"ca.crt in the Secret {service}-connection is no certificate"
        raise Failure(finding("certificate-authority", message, service=service)) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    return context


def lax() -> ssl.SSLContext:
    """A client's context that takes any certificate: for a way that is itself checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def refused(error: BaseException, where: str, service: str) -> Finding | None:
    """The finding of a handshake that failed; None where another error is behind it."""
    for each in chain(error):
        if isinstance(each, ssl.SSLCertVerificationError):
            code = _CODES.get(each.verify_code, "certificate-authority")
            return finding(code, f"{where}: {each.verify_message}"[:300], service=service)
        if isinstance(each, ssl.SSLError) and each.reason:
            plain = each.reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE")
            code = "tls-missing" if plain else "tls-refused"
            return finding(code, f"{where}: {each.reason}"[:300], service=service)
    return None


def require_unexpired(certificate: Mapping[str, Any], where: str, service: str) -> None:
    """Raise Failure(certificate-ending) where a peer's certificate is about to end."""
    ends = str(certificate["notAfter"])
    if ssl.cert_time_to_seconds(ends) - time.time() < _ENDING_SECONDS:
        message = f"{where}: the server's certificate ends on {ends}"
        raise Failure(finding("certificate-ending", message, service=service))
