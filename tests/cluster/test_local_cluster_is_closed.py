"""Who is kept from the local cluster's own servers and files."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from learnflow_infra.cluster.local import layout, lock

from . import probes
from .conftest import Person

NODE = layout.NODE_ADDRESS
API, KUBELET = (NODE, 6443), (NODE, 10250)
ETCD_PORTS = (2379, 2380, 2381, 2382)
NOBODY = 65534


def test_nothing_listens_but_what_must(person: Person) -> None:
    """All that can be reached from outside the node is the API, the kubelet and DNS."""
    opened = set()
    for table in ("tcp", "tcp6", "udp", "udp6"):
        for line in Path(f"/proc/{lock.node_pid()}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            listening = fields[3] == ("0A" if table.startswith("tcp") else "07")
            address, port = fields[1].split(":")
            if listening:
                number = (
                    bytes.fromhex(address)[::-1] if len(address) == 8 else bytes.fromhex(address)
                )
                family = socket.AF_INET if len(address) == 8 else socket.AF_INET6
                opened.add((table[:3], socket.inet_ntop(family, number), int(port, 16)))
    outside = {each for each in opened if not each[1].startswith("127.")}
    dns = layout.DNS_ADDRESS
    assert outside == {("tcp", *API), ("tcp", *KUBELET), ("tcp", dns, 53), ("udp", dns, 53)}


def ask(place: tuple[str, int], path: str, certificate: Path | None = None) -> int:
    """The HTTP status that a server gives to who shows this certificate and its key, or none."""
    context = ssl.create_default_context(cafile=str(layout.PKI / "ca.crt"))
    if certificate:
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
    with (
        socket.create_connection(place, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=NODE) as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: {NODE}\r\n\r\n".encode())
        return int(connection.recv(4096).split()[1])


PATHS = [
    pytest.param(API, "/api/v1/secrets", id="the API's Secrets"),
    pytest.param(API, "/api/v1/nodes/learnflow-local/proxy/pods", id="the kubelet through the API"),
    pytest.param(KUBELET, "/pods", id="the kubelet's pods"),
    pytest.param(KUBELET, "/containerLogs/learnflow/kafka-0/kafka", id="the kubelet's logs"),
    pytest.param(KUBELET, "/metrics", id="the kubelet's metrics"),
]


@pytest.mark.intruder("asks for {} without a certificate", by="client certificates")
@pytest.mark.parametrize(("place", "path"), PATHS)
def test_who_shows_no_certificate_gets_nothing(
    person: Person, place: tuple[str, int], path: str
) -> None:
    assert ask(place, path) in (401, 403)


@pytest.mark.intruder(
    "asks for {} with a certificate of another authority", by="client certificates"
)
@pytest.mark.parametrize(("place", "path"), PATHS)
def test_who_shows_a_foreign_certificate_gets_nothing(
    person: Person, place: tuple[str, int], path: str, foreign: Path
) -> None:
    assert ask(place, path, foreign) == 401


@pytest.mark.intruder("asks for {} as another component", by="authorization")
@pytest.mark.parametrize(("place", "path"), PATHS)
def test_a_component_gets_only_what_is_its_own(
    person: Person, place: tuple[str, int], path: str
) -> None:
    assert ask(place, path, layout.PKI / "dns.crt") == 403


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that says of its holder to be an administrator."""
    folder = tmp_path_factory.mktemp("foreign")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-subj", "/O=system:masters/CN=admin", "-days", "1"]
    argv += ["-keyout", str(folder / "admin.key"), "-out", str(folder / "admin.crt")]
    subprocess.run(argv, check=True, capture_output=True, timeout=30)
    return folder / "admin.crt"


@pytest.mark.intruder(
    "connects to etcd's port {} from the host", by="no such port outside the node"
)
@pytest.mark.parametrize("port", ETCD_PORTS)
def test_etcd_is_not_there_for_the_host(person: Person, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((NODE, port), timeout=5)


@pytest.mark.intruder("reads etcd's port {} inside the node's network", by="client certificates")
@pytest.mark.parametrize("port", [each for each in ETCD_PORTS if each != 2381])
def test_etcd_answers_nobody_without_a_certificate(person: Person, port: int) -> None:
    script = """
import socket, ssl, sys
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
try:
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=5) as plain:
        with context.wrap_socket(plain) as connection:
            connection.sendall(b"GET /version HTTP/1.0\\r\\n\\r\\n")
            print(connection.recv(4096))
except ssl.SSLError as error:
    print("refused:", error.reason)
"""
    said = probes.on_the_node(sys.executable, "-c", script, str(port))
    assert said.startswith("refused:") and "CERTIFICATE_REQUIRED" in said, said


@pytest.mark.intruder("reads the kubelet's read-only port", by="not opened")
def test_the_kubelet_has_no_port_for_everyone(person: Person) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((NODE, 10255), timeout=5)


@pytest.mark.intruder("looks into {} as another user of the machine", by="file modes")
@pytest.mark.parametrize("folder", [layout.STATE, layout.RUN, layout.PKI, layout.VOLUMES], ids=str)
def test_no_other_user_sees_into_its_folders(person: Person, folder: Path) -> None:
    done = subprocess.run(
        ["ls", folder], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True, text=True
    )
    assert "Permission denied" in done.stderr


@pytest.mark.intruder("reads the kubeconfig as another user of the machine", by="file modes")
def test_the_kubeconfig_is_its_owners_alone(person: Person) -> None:
    config = person.home / ".kube/config"
    assert config.stat().st_mode & 0o077 == 0
