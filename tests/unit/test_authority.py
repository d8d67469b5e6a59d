"""When a certificate is kept, and when a new one is signed."""

from __future__ import annotations

import base64
import ssl
from typing import Any

import pytest

from learnflow_infra import authority
from learnflow_infra.apply import decoded
from learnflow_infra.certificates import Authority, Pair
from learnflow_infra.services import registry
from learnflow_infra.settings import Settings

SETTINGS = Settings()
NAMES = ["postgres", "localhost", "127.0.0.1"]


@pytest.fixture(scope="module")
def signer() -> Authority:
    return Authority.new("one", 3650)


def certified(signer: Authority, current: dict[str, str], names: list[str] = NAMES) -> Any:
    return decoded(authority.certified(SETTINGS, "postgres", names, signer, current))


def test_a_certificate_is_kept_as_it_is(signer: Authority) -> None:
    first = certified(signer, {})
    assert first["ca.crt"] == signer.pair.certificate
    assert certified(signer, first) == first
    assert certified(signer, first, list(reversed(NAMES))) == first


@pytest.mark.parametrize("days", [-1, 1, 100, 121])
def test_one_with_less_than_a_third_of_its_year_left_is_renewed(
    signer: Authority, days: int
) -> None:
    # Its life begins a day ago, so that a third is reckoned from what is made here as well.
    pair = issued_of_a_year(signer, days)
    assert not signer.lasting(pair, NAMES)


def issued_of_a_year(signer: Authority, left: int) -> Pair:
    """A certificate of a year of which so many days are left."""
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    pair = signer.issue("postgres", 365, alternatives=NAMES, client=False)
    made = x509.load_pem_x509_certificate(pair.certificate.encode())
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(made.subject)
        .issuer_name(made.issuer)
        .public_key(made.public_key())  # type: ignore[arg-type]
        .serial_number(made.serial_number)
        .not_valid_before(now + datetime.timedelta(days=left - 365))
        .not_valid_after(now + datetime.timedelta(days=left))
    )
    for extension in made.extensions:
        builder = builder.add_extension(extension.value, extension.critical)
    signed = builder.sign(signer._key, hashes.SHA256())
    return Pair(signed.public_bytes(serialization.Encoding.PEM).decode(), pair.key)


def test_one_with_more_left_is_kept(signer: Authority) -> None:
    assert signer.lasting(issued_of_a_year(signer, 123), NAMES)


@pytest.mark.parametrize("change", ["names", "authority", "key", "damaged", "no key"])
def test_one_that_does_not_fit_is_made_anew(signer: Authority, change: str) -> None:
    first = certified(signer, {})
    current, by, names = dict(first), signer, NAMES
    if change == "names":
        names = [*NAMES, "another"]
    elif change == "authority":
        by = Authority.new("one", 3650)
    elif change == "key":
        current["tls.key"] = certified(signer, {})["tls.key"]
    elif change == "damaged":
        current["tls.crt"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    else:
        del current["tls.key"]
    second = certified(by, current, names)
    assert second["tls.crt"] != current["tls.crt"]
    assert by.lasting(Pair(second["tls.crt"], second["tls.key"]), names)


def test_an_authority_that_would_end_before_what_it_signs_is_not_used() -> None:
    def secret(days: int) -> dict[str, str]:
        pair = Authority.new("old", days).pair
        return {"tls.crt": pair.certificate, "tls.key": pair.key}

    assert authority.read(secret(366)) is not None
    assert authority.read(secret(364)) is None
    assert authority.read({"tls.crt": "x", "tls.key": "y"}) is None
    assert authority.read({}) is None
    made = authority.new(SETTINGS)
    assert authority.read(decoded(made)) is not None
    assert base64.b64decode(made["data"]["tls.key"]).startswith(b"-----BEGIN PRIVATE KEY-----")


def test_a_strict_client_takes_every_name_and_no_other(signer: Authority, tmp_path: Any) -> None:
    service = registry()["kafka"]
    names = authority.names(service.objects(SETTINGS), service.pods(SETTINGS))
    assert {
        *("kafka", "kafka.learnflow", "kafka.learnflow.svc"),
        *("kafka.learnflow.svc.cluster.local", "kafka-0.kafka-brokers.learnflow.svc"),
        *("kafka-0.kafka-brokers", "kafka-brokers.learnflow.svc", "localhost", "127.0.0.1"),
    } <= set(names)
    pair = signer.issue("kafka", 365, alternatives=names, client=False)
    file = tmp_path / "server.pem"
    file.write_text(pair.certificate + pair.key)
    for name in names:
        assert handshake(file, signer, name)
    for name in ("kafka.other.svc", "kafka-1.kafka-brokers.learnflow.svc", "127.0.0.2"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(file, signer, name)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(file, Authority.new("one", 365), "kafka")


def handshake(file: Any, trusted: Authority, name: str) -> bool:
    """A TLS handshake in memory."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    calling = ssl.create_default_context(cadata=trusted.pair.certificate)
    calling.verify_flags |= ssl.VERIFY_X509_STRICT
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = calling.wrap_bio(to_client, to_server, server_hostname=name)
    for side in (client, server, client, server):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return bool(client.getpeercert())
