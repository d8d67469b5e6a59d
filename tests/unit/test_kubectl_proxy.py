"""The kubectl behind a command: it ends when the command does, and never waits for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_api import kube, listed, serving

from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.process import KubectlProxy

pytestmark = pytest.mark.usefixtures("not_under_nohup")
_SECONDS = 20.0
_HOLD = """
import sys, threading
from learnflow_infra.kubernetes.process import KubectlProxy
proxy = KubectlProxy([sys.argv[1]], "somewhere")
print("ready", flush=True)
threading.Event().wait(60)
"""


def script(folder: Path, text: str) -> str:
    file = folder / "kubectl"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def awaited(file: Path) -> int:
    """The process id that a stand-in wrote."""
    until = time.monotonic() + _SECONDS
    while not file.exists() or not (text := file.read_text().strip()):
        assert time.monotonic() < until, f"nothing wrote {file}"
        time.sleep(0.01)
    return int(text)


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def gone(pid: int) -> bool:
    until = time.monotonic() + _SECONDS
    while lives(pid):
        if time.monotonic() > until:
            os.kill(pid, signal.SIGKILL)
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of its own for temporary files."""
    (folder := tmp_path / "t").mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    yield folder


def test_it_ends_with_a_command_that_is_killed(tmp_path: Path, elsewhere: Path) -> None:
    # As `minikube kubectl` does, it starts the real one beside itself.
    started, beside = tmp_path / "pid", tmp_path / "beside"
    kubectl = script(tmp_path, f"sleep 600 & echo $! > {beside}\necho $$ > {started}\nwait")
    argv = [sys.executable, "-c", _HOLD, kubectl]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as command:
        assert command.stdout is not None
        assert command.stdout.readline() == b"ready\n"
        pids = [awaited(started), awaited(beside)]
        assert all(map(lives, pids))
        command.kill()
    assert all(map(gone, pids))
    until = time.monotonic() + _SECONDS
    while list(elsewhere.iterdir()):
        assert time.monotonic() < until, "its folder is left"
        time.sleep(0.01)


def test_it_ends_with_a_command_whose_terminal_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    started = tmp_path / "pid"
    script(tmp_path, f"echo $$ > {started}; exec sleep 600")
    argv = [sys.executable, "-m", "learnflow_infra", "verify", "--context", "somewhere"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as command:
        pid = awaited(started)
        command.send_signal(signal.SIGHUP)
        out, err = command.communicate(timeout=_SECONDS)
    assert (command.returncode, b"Traceback" in out + err) == (130, False)
    assert gone(pid)


def test_nohup_is_heeded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    started = tmp_path / "pid"
    script(tmp_path, f"echo $$ > {started}; exec sleep 600")
    argv = ["nohup", sys.executable, "-m", "learnflow_infra", "verify", "--context", "somewhere"]
    with subprocess.Popen(
        [*argv, "--timeout", "1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        awaited(started)
        command.send_signal(signal.SIGHUP)
        command.communicate(timeout=_SECONDS)
    assert command.returncode == 5


def test_it_may_print_more_than_a_pipe_takes(tmp_path: Path) -> None:
    with serving(tmp_path, lambda *_: listed()) as (kubectl,):
        (folder := tmp_path / "noisy").mkdir()
        noisy = script(folder, f'head -c 1000000 /dev/zero >&2; exec {kubectl} "$@"')
        with Kube([noisy], "somewhere", Deadline(_SECONDS)) as api:
            assert api.list("Pod", "learnflow") == []


def test_a_folder_for_temporary_files_may_lie_deep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (deep := tmp_path / ("x" * 100)).mkdir()
    monkeypatch.setenv("TMPDIR", str(deep))
    monkeypatch.setattr(tempfile, "tempdir", None)
    with kube(tmp_path, lambda *_: listed()) as api:
        assert api.list("Pod", "learnflow") == []
    assert not list(deep.iterdir())


def test_its_last_words_are_told(tmp_path: Path) -> None:
    kubectl = script(tmp_path, "echo one; echo 'error: no such context' >&2; exit 1")
    with (
        Kube([kubectl], "somewhere", Deadline(_SECONDS)) as api,
        pytest.raises(Failure, match="kubectl-failed: kubectl proxy ended: error: no such context"),
    ):
        api.list("Pod", "learnflow")


def test_one_that_never_listens_is_waited_for_no_longer_than_it_may_take(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kubectl = script(tmp_path, "exec sleep 600")
    with (
        Kube([kubectl], "somewhere", Deadline(0.2)) as api,
        pytest.raises(Failure, match=r"deadline-passed: .*, waiting for kubectl proxy"),
    ):
        api.list("Pod", "learnflow")
    monkeypatch.setattr("learnflow_infra.kubernetes.process._BEGIN_SECONDS", 0.2)
    with (  # as `connect` does, which has no deadline
        Kube([kubectl], "somewhere", Deadline(float("inf"))) as api,
        pytest.raises(Failure, match="kubectl-failed: kubectl proxy does not listen"),
    ):
        api.list("Pod", "learnflow")


def test_one_that_is_no_program_is_missing(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="kubectl-missing"):
        KubectlProxy([str(tmp_path / "kubectl")], "somewhere")
