"""The local cluster's certificates, locks and logs, without a cluster."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from learnflow_infra.cluster.local import dns, layout, lock, node, pki, provider
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import end, start


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cluster's folders, moved to where a test may write."""
    for name in ("PKI", "CONFIG", "LOGS", "RUN"):
        monkeypatch.setattr(layout, name, tmp_path / name.lower())
    for name in ("LOCK", "READY"):
        monkeypatch.setattr(layout, name, tmp_path / "run" / name.lower())
    return tmp_path


def _certificate(name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((layout.PKI / f"{name}.crt").read_bytes())


def test_each_certificate_is_signed_by_its_own_authority(folders: Path) -> None:
    pki.ensure()
    issuers = {
        "apiserver": "ca",
        "kubelet": "ca",
        "etcd": "etcd-ca",
        "apiserver-etcd-client": "etcd-ca",
        "front-proxy-client": "front-proxy-ca",
    }
    for name, authority in issuers.items():
        _certificate(name).verify_directly_issued_by(_certificate(authority))


def test_strict_clients_accept_the_certificates(folders: Path) -> None:
    pki.ensure()
    for name in ("apiserver", "admin"):
        extensions = _certificate(name).extensions
        assert extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    trust = ssl.create_default_context(cafile=str(layout.PKI / "ca.crt"))
    trust.load_cert_chain(layout.PKI / "admin.crt", layout.PKI / "admin.key")


def test_the_kubelet_is_a_node_and_a_client(folders: Path) -> None:
    pki.ensure()
    kubelet = _certificate("kubelet")
    groups = kubelet.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert [group.value for group in groups] == ["system:nodes"]
    usage = kubelet.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_keys_are_kept_once_made_and_only_the_owner_reads_them(folders: Path) -> None:
    pki.ensure()
    made = {path: path.read_bytes() for path in layout.PKI.iterdir()}
    pki.ensure()
    assert made == {path: path.read_bytes() for path in layout.PKI.iterdir()}
    keys = [*layout.PKI.glob("*.key"), *layout.CONFIG.glob("*.kubeconfig")]
    assert keys
    assert all(path.stat().st_mode & 0o077 == 0 for path in keys)


def test_half_made_keys_are_made_anew(folders: Path) -> None:
    pki.ensure()
    (layout.PKI / "complete").unlink()
    (layout.PKI / "ca.key").write_text("cut off")
    pki.ensure()
    _certificate("apiserver").verify_directly_issued_by(_certificate("ca"))


def test_a_second_start_waits_for_the_first(folders: Path) -> None:
    with (
        lock.exclusive(Deadline(5)),
        pytest.raises(Failure, match="deadline-passed"),
        lock.exclusive(Deadline(0.1)),
    ):
        pytest.fail("two at once")


def test_a_lock_whose_folder_was_purged_counts_no_more(folders: Path) -> None:
    with lock.exclusive(Deadline(5)):
        for path in layout.RUN.iterdir():
            path.unlink()
        layout.RUN.rmdir()
        with lock.exclusive(Deadline(5)):
            assert layout.RUN.is_dir()


def test_the_node_lives_as_long_as_somebody_has_its_lock_open(folders: Path) -> None:
    assert not lock.node_lives()
    layout.RUN.mkdir()
    held = lock.hold_for_node()
    assert lock.node_lives()
    os.close(held)
    assert not lock.node_lives()


def test_a_long_log_is_cut_and_its_last_part_kept(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node, "_LOG_BYTES", 10)
    layout.LOGS.mkdir()
    log = layout.LOGS / "kubelet.log"
    with log.open("ab") as writer:
        writer.write(b"the first words, the last")
        writer.flush()
        node._bound_logs()
        writer.write(b"more")
    assert log.read_bytes() == b"more"
    assert log.with_suffix(".log.1").read_bytes() == b"s, the last"[-10:]


KEPT = """
import signal, sys
from pathlib import Path
from learnflow_infra.cluster.local import layout, node
from learnflow_infra.cluster.local.components import Component

folder = Path(sys.argv[1])
layout.LOGS, layout.READY = folder, folder / "ready"
node.Api = node.isolation.enter = lambda *_: None
node._UPKEEP_SECONDS, node._RESTART_SECONDS = 0.0, 0.0
component = Component("etcd", ("sh", "-c", f"echo >> {folder}/starts; sleep 0.1"))
node.components = lambda *_: {"etcd": component}

def upkeep():
    (folder / "upkeep").touch()
    raise OSError(28, "No space left on device")

node._bound_logs = upkeep
alone = node.Node("", "", "", "")
alone._start = lambda deadline: alone._spawn("etcd")
alone.live()
"""


def test_neither_a_full_disk_nor_a_component_that_dies_on_and_on_ends_the_node(
    tmp_path: Path,
) -> None:
    process = start([sys.executable, "-c", KEPT, str(tmp_path)])
    try:
        deadline = Deadline(30)
        starts = tmp_path / "starts"
        while not starts.exists() or starts.stat().st_size < 8:
            assert process.poll() is None, process.communicate()
            deadline.remaining()
            time.sleep(0.01)
        process.terminate()
        stdout, stderr = process.communicate(timeout=30)
    finally:
        end(process)
    assert b"upkeep: [Errno 28] No space left on device" in stdout
    assert b"ending: asked to" in stdout
    assert not stderr


def test_a_full_disk_is_named_before_the_node_starts_on_it(
    folders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "STATE", folders / "not" / "there")
    provider._require_disk()
    monkeypatch.setattr(provider, "_LEAST_BYTES", 1 << 80)
    with pytest.raises(Failure, match=f"node-disk-full: the disk of {layout.STATE} has "):
        provider._require_disk()


def test_a_node_that_does_not_become_ready_is_named_with_its_log(folders: Path) -> None:
    layout.RUN.mkdir()
    held = lock.hold_for_node()
    with pytest.raises(Failure, match=r"waiting for the node to be ready; see .*node\.log"):
        provider._settled(Deadline(0.05))
    os.close(held)


def test_a_start_that_fails_names_the_component_and_the_limit_it_met(folders: Path) -> None:
    layout.LOGS.mkdir()
    log = layout.LOGS / "kubelet.log"
    log.write_text('E1 1 manager.go:294] "inotify_init: too many open files"\n')
    reason = f"kubelet died while it started; see {log}"
    (layout.LOGS / "node.log").write_text(f"1.0 etcd ready\n2.0 ending: {reason}\n3.0 ended\n")
    (found,) = provider._start_failed().findings
    assert found.message == f"the node ended: {reason}: too many open files"
    assert "max_user_instances" in found.remedy
    log.write_text("E1 another reason\n")
    (found,) = provider._start_failed().findings
    assert found.message == f"the node ended: {reason}"
    assert "max_user_instances" not in found.remedy


def test_a_log_that_the_node_names_may_not_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "LOGS", tmp_path)
    reason = f"the API gave no answer in time; see {tmp_path}/API.log"
    (tmp_path / "node.log").write_text(f"12:00:00 ending: {reason}\n")
    (found,) = provider._start_failed().findings
    assert found.message == f"the node ended: {reason}"


@pytest.fixture
def living_node(folders: Path) -> Iterator[None]:
    layout.RUN.mkdir()
    held = lock.hold_for_node()
    yield
    os.close(held)


@pytest.fixture
def name_server(folders: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """A socket where the cluster's DNS is expected."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        monkeypatch.setattr(layout, "DNS_SERVICE", "127.0.0.1")
        monkeypatch.setattr(dns, "_PORT", server.getsockname()[1])
        yield server


@pytest.mark.usefixtures("living_node")
def test_dns_may_answer_late(name_server: socket.socket) -> None:
    address = socket.inet_aton(layout.API_SERVICE)

    def late() -> None:
        while (received := name_server.recvfrom(512))[0]:
            query, asker = received
            wait = threading.Timer(
                3 * dns._FIRST_SECONDS, name_server.sendto, (query + address, asker)
            )
            timers.append(wait)
            wait.start()

    timers: list[threading.Timer] = []
    server = threading.Thread(target=late)
    server.start()
    dns.await_answer(Deadline(20))
    name_server.sendto(b"", name_server.getsockname())
    server.join()
    for each in timers:
        each.join()


@pytest.mark.usefixtures("living_node", "name_server")
def test_dns_that_never_answers_is_named_at_the_deadline() -> None:
    with pytest.raises(Failure, match=r"deadline-passed: .*waiting for DNS at 127.0.0.1 to know"):
        dns.await_answer(Deadline(0.3))


@pytest.mark.usefixtures("name_server")
def test_dns_of_a_node_that_ended_is_not_waited_for() -> None:
    with pytest.raises(Failure, match="local-cluster-start-failed: the node ended"):
        dns.await_answer(Deadline(20))
