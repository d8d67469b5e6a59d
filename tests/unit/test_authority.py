"""When a certificate is kept, and when a new one is signed."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import pytest

from issued import of_a_year
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.x509 import Authority, CertificateAndKey
from learnflow_infra.kubernetes.secrets import decoded
from learnflow_infra.services import registry
from learnflow_infra.services.shared import authority, tls
from learnflow_infra.settings import parse

SETTINGS = parse({}, registry.sections)
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
    pair = of_a_year(signer, NAMES, left=days)
    assert signer.needs_renewal(pair, NAMES)


def test_one_with_more_left_is_kept(signer: Authority) -> None:
    assert not signer.needs_renewal(of_a_year(signer, NAMES, left=123), NAMES)


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
    assert not by.needs_renewal(CertificateAndKey(second["tls.crt"], second["tls.key"]), names)


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


def test_a_strict_client_takes_every_name_and_no_other(signer: Authority, tmp_path: Path) -> None:
    service = registry.find("kafka")
    names = authority.names(service.objects(SETTINGS), service.pods(SETTINGS))
    assert {
        *("kafka", "kafka.learnflow", "kafka.learnflow.svc"),
        *("kafka.learnflow.svc.cluster.local", "kafka-0.kafka-brokers.learnflow.svc"),
        *("kafka-0.kafka-brokers", "kafka-brokers.learnflow.svc", "localhost", "127.0.0.1"),
    } <= set(names)
    pair = signer.issue("kafka", 365, alternatives=names, client=False)
    for name in names:
        assert handshake(pair, signer.pair.certificate, name, tmp_path)["notAfter"]
    for name in ("kafka.other.svc", "kafka-1.kafka-brokers.learnflow.svc", "127.0.0.2"):
        assert refusal(pair, signer.pair.certificate, name, tmp_path) == "certificate-name"


def test_what_a_strict_client_refuses(signer: Authority, tmp_path: Path) -> None:
    trusted = signer.pair.certificate
    foreign = Authority.new("one", 3650)
    pair = foreign.issue("postgres", 365, alternatives=NAMES, client=False)
    assert refusal(pair, trusted, "postgres", tmp_path) == "certificate-authority"
    for left in (-1, 366):
        other = of_a_year(signer, NAMES, left=left)
        assert refusal(other, trusted, "postgres", tmp_path) == "certificate-expired"
    # One that is for clients alone.
    pair = signer.issue("postgres", 365, client=True)
    assert refusal(pair, trusted, "postgres", tmp_path) == "certificate-authority"


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
def test_a_server_that_answers_in_the_clear_or_speaks_an_old_protocol(
    signer: Authority, tmp_path: Path
) -> None:
    calling = tls.strict(signer.pair.certificate, "kafka")
    answer = ssl.MemoryBIO()
    answer.write(b"\x00\x00\x00\x01 no TLS at all")
    client = calling.wrap_bio(answer, ssl.MemoryBIO(), server_hostname="kafka")
    with pytest.raises(ssl.SSLError) as raised:
        client.do_handshake()
    found = tls.refused(raised.value, "here", "kafka")
    assert found is not None and found.code == "tls-missing"
    pair = signer.issue("kafka", 365, alternatives=["kafka"], client=False)
    with pytest.raises(ssl.SSLError) as raised:
        handshake(pair, signer.pair.certificate, "kafka", tmp_path, ssl.TLSVersion.TLSv1_1)
    found = tls.refused(raised.value, "here", "kafka")
    assert found is not None and found.code == "tls-refused"


def test_another_error_is_none_of_tls() -> None:
    assert tls.refused(ConnectionResetError(), "here", "kafka") is None


def test_an_authority_that_is_none_is_named() -> None:
    for damaged in ("", "no PEM", "-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(Failure) as raised:
            tls.strict(damaged, "kafka")
        assert raised.value.findings[0].code == "certificate-authority"
        assert "kafka-connection" in raised.value.findings[0].message


def test_a_certificate_that_ends_within_a_month_is_named(signer: Authority, tmp_path: Path) -> None:
    for left, ending in ((29, True), (31, False)):
        pair = of_a_year(signer, NAMES, left=left)
        certificate = handshake(pair, signer.pair.certificate, "postgres", tmp_path)
        if ending:
            with pytest.raises(Failure, match=f"certificate-ending.*{certificate['notAfter']}"):
                tls.require_unexpired(certificate, "here", "postgres")
        else:
            tls.require_unexpired(certificate, "here", "postgres")


def refusal(pair: CertificateAndKey, trusted: str, name: str, folder: Path) -> str:
    with pytest.raises(ssl.SSLError) as raised:
        handshake(pair, trusted, name, folder)
    found = tls.refused(raised.value, "here", "postgres")
    assert found is not None
    assert found.message.startswith("here: ")
    return found.code


def handshake(
    pair: CertificateAndKey,
    trusted: str,
    name: str,
    folder: Path,
    most: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> dict[str, Any]:
    """A handshake in memory; the certificate that the client was shown."""
    file = folder / "server.pem"
    file.write_text(pair.certificate + pair.key)
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(file)
    serving.maximum_version = most
    server = serving.wrap_bio(to_server, to_client, server_side=True)
    client = tls.strict(trusted, "postgres").wrap_bio(to_client, to_server, server_hostname=name)
    refusals = []
    for side in (client, server, client, server, client):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]
    shown: dict[str, Any] | None = client.getpeercert()
    assert shown
    return shown
