"""What is told when the local cluster's programs can be neither found, fetched nor built."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from learnflow_infra.cluster.local import build
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import debian
from learnflow_infra.host.deadline import Deadline


def _executable(path: Path, script: str) -> None:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with one folder on its PATH and nothing in its cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "_MORE_FOLDERS", ())
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def test_a_program_that_is_there_is_used_as_it_is(empty: Path) -> None:
    _executable(empty / "tool", "exit 0")
    found = debian.programs({"tool": "tool-package"}, deadline=Deadline(5), say=pytest.fail)
    assert found == {"PATH": str(empty)}


def test_without_apt_the_packages_are_named(empty: Path) -> None:
    with pytest.raises(Failure, match="no apt-get") as raised:
        debian.programs({"tool": "tool-package"}, deadline=Deadline(5), say=print)
    assert "tool-package" in raised.value.findings[0].remedy


def test_a_refused_download_names_its_log(empty: Path, tmp_path: Path) -> None:
    _executable(empty / "apt-get", "echo 'E: no network here' >&2; exit 100")
    _executable(empty / "dpkg", "exit 0")
    with pytest.raises(Failure, match="E: no network here; see ") as raised:
        debian.programs({"tool": "tool-package"}, deadline=Deadline(5), say=print)
    log = Path(str(raised.value).rpartition("see ")[2])
    assert "no network here" in log.read_text()
    assert not list(log.parent.glob("fetching-*"))


def test_without_go_it_says_so(empty: Path) -> None:
    assert build.obstacle() == "it is built with Go, and there is no `go` on PATH"


def test_an_old_go_is_named(empty: Path) -> None:
    _executable(empty / "go", "echo go1.19.8")
    assert build.obstacle() == "it is built with Go 1.21 or newer, and this is go1.19.8"


def test_a_failed_build_tells_why_and_leaves_nothing_half_built(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tool in ("containerd", "containerd-shim-runc-v2", "ctr", "runc", "nft", "ptp"):
        _executable(empty / tool, "exit 0")
    for tool in ("host-local", "loopback"):
        _executable(empty / tool, "exit 0")
    _executable(empty / "go", "echo 'go: no space left on device'; exit 1")
    with pytest.raises(Failure, match="local-cluster-build-failed: go: no space left") as raised:
        build.programs(Deadline(10), print)
    assert not build.binary().exists()
    assert [path.name for path in build.folder().iterdir()] == ["build.log"]
    assert os.fspath(build.folder() / "build.log") in str(raised.value)


def test_two_fetches_at_once_wait_for_each_other(
    empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{empty}:{os.environ['PATH']}:/usr/bin:/bin")
    held = tmp_path / "held"
    # As apt does: who comes while another works is refused.
    _executable(
        empty / "apt-get",
        f"mkdir {held} || {{ echo 'E: Unable to acquire the dpkg frontend lock' >&2; exit 100; }}\n"
        f"sleep 0.3; rmdir {held}\n"
        'for word; do case $word in Dir::Cache::archives=*) touch "${word#*=}/p.deb";; esac; done',
    )
    program = '"$3/usr/bin/one-tool"'
    _executable(empty / "dpkg", f'mkdir -p "$3/usr/bin"; touch {program}; chmod +x {program}')

    messages: list[str] = []

    def fetched(name: str) -> str:
        environment = debian.programs(
            {"one-tool": name}, deadline=Deadline(20), say=messages.append
        )
        return environment["PATH"]

    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(fetched, ("one-package", "other-package"))
    assert one != other
    assert "waiting for another fetch from Debian to end" in messages


APT = """\
Dir "{folder}";
Dir::Bin::methods "/usr/lib/apt/methods";
Dir::Bin::dpkg "/usr/bin/dpkg";
Dir::State::status "{folder}/var/lib/dpkg/status";
Dir::Etc::SourceList "{folder}/sources.list";
APT::Sandbox::User "";
"""
HOLD = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.lockf(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real apt in a system of its own, with a mirror that has one package."""
    if shutil.which("apt-get") is None:
        pytest.skip("there is no apt here")
    folder = tmp_path / "system"
    for each in ("var/lib/dpkg", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (folder / each).mkdir(parents=True)
    (folder / "var/lib/dpkg/status").touch()
    package = tmp_path / "package"
    (package / "DEBIAN").mkdir(parents=True)
    control = "Package: one-package\nVersion: 1\nArchitecture: all\n"
    control += "Maintainer: nobody <nobody@example.org>\nDescription: a program\n"
    (package / "DEBIAN/control").write_text(control)
    (package / "usr/bin").mkdir(parents=True)
    _executable(package / "usr/bin/one-tool", "exit 0")
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    deb = mirror / "one-package_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", package, deb], check=True, capture_output=True)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    index = f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
    (mirror / "Packages").write_text(index)
    (folder / "sources.list").write_text(f"deb [trusted=yes] copy:{mirror} ./\n")
    (tmp_path / "apt.conf").write_text(APT.format(folder=folder))
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "_APT_SECONDS", 0.05)
    return folder


@pytest.mark.parametrize("lock", ["dpkg/lock-frontend", "apt/lists/lock"])
def test_a_lock_of_apt_that_another_holds_is_waited_for_and_named(archive: Path, lock: str) -> None:
    argv = [sys.executable, "-c", HOLD, str(archive / "var/lib" / lock)]
    messages = []
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"

        def say(message: str) -> None:
            messages.append(message)
            if message.startswith("waiting"):
                holder.communicate(timeout=10)

        found = debian.programs({"one-tool": "one-package"}, deadline=Deadline(60), say=say)
    assert shutil.which("one-tool", path=found["PATH"])
    fetching, waiting = messages
    assert fetching == "fetching one-package from Debian (nothing is installed)"
    assert waiting.startswith("waiting for apt: Could not get lock")
    assert f"held by process {holder.pid}" in waiting


def test_a_lock_that_is_never_let_go_is_named(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debian, "_LOCK_SECONDS", 0.1)
    argv = [sys.executable, "-c", HOLD, str(archive / "var/lib/dpkg/lock-frontend")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(Failure, match=r"programs-missing: .*lock-frontend"):
            debian.programs({"one-tool": "one-package"}, deadline=Deadline(60), say=print)
        holder.communicate(timeout=10)
