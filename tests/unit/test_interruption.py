"""An interrupted command ends within two seconds, says so, and leaves no process behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from report_schema import valid

pytestmark = pytest.mark.usefixtures("not_under_nohup")
LONG_SECONDS = 300
# It hangs where it is told to, and dies of nothing but SIGKILL; so does what it started.
HANGING = f"""\
#!/bin/sh
trap "" TERM
sh -c 'trap "" TERM; echo $$ >> "$PIDS"; exec sleep {LONG_SECONDS}' &
echo $$ >> "$PIDS"
wait
"""
MINIKUBE = """\
#!/bin/sh
case "$*" in
  "profile list"*) echo '{"valid": [{"Name": "minikube", "Status": "OK"}]}';;
  "status"*) echo '{"Host": "Running", "APIServer": "Running", "Kubeconfig": "Configured"}';;
  *"image ls") ;;
  *) exec kubectl;;
esac
"""


@pytest.fixture
def pids(tmp_path: Path) -> Iterator[Path]:
    """The file of the numbers of the processes that hang; they are gone after the test."""
    for name, text in (("kubectl", HANGING), ("minikube", MINIKUBE)):
        program = tmp_path / name
        program.write_text(text)
        program.chmod(0o755)
    file = tmp_path / "pids"
    file.touch()
    yield file
    for pid in file.read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


# A thread that hears of nothing.
DEAF = f"""\
import os, sys, time
from learnflow_infra import cli
from learnflow_infra.commands import verify

def prove(*_):
    os.mkdir(os.environ["PIDS"] + ".deaf")
    time.sleep({LONG_SECONDS})

verify.prove = prove
cli.main()
"""


def start(
    pids: Path, *arguments: str, program: tuple[str, ...] = ("-m", "learnflow_infra")
) -> subprocess.Popen[str]:
    """The command, when its processes hang."""
    environment = os.environ | {"PATH": f"{pids.parent}:{os.environ['PATH']}", "PIDS": str(pids)}
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        cwd=pids.parent,
        env=environment | {"TMPDIR": str(pids.parent), "HOME": str(pids.parent)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    until = time.monotonic() + 30
    while len(pids.read_text().splitlines()) < 2:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)
    return process


def lives(pid: str) -> bool:
    """Whether a process runs: one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "arguments",
    [("up", "--context", "x"), ("up", "--cluster", "minikube"), ("doctor", "--context", "x")],
    ids=" ".join,
)
def test_an_interrupted_command_ends_with_its_processes(
    pids: Path, arguments: tuple[str, ...], number: signal.Signals
) -> None:
    interrupt(start(pids, *arguments, "--json"), number, pids)
    assert not [*pids.parent.glob("learnflow-*")]


def test_a_thread_that_hears_of_nothing_is_not_waited_for(pids: Path) -> None:
    process = start(pids, "verify", "kafka", "--context", "x", "--json", program=("-c", DEAF))
    until = time.monotonic() + 30
    while not pids.with_suffix(".deaf").is_dir():
        assert time.monotonic() < until
        time.sleep(0.01)
    interrupt(process, signal.SIGTERM, pids)


def interrupt(process: subprocess.Popen[str], number: signal.Signals, pids: Path) -> None:
    """Send the signal, and check how the command ends and what it leaves."""
    sent = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=LONG_SECONDS)
    assert time.monotonic() - sent < 2
    assert process.returncode == 130
    body = valid(stdout)
    assert [each["code"] for each in body["findings"]] == ["interrupted"]
    assert body["exit_code"] == 130
    assert "Traceback" not in stderr
    assert not [pid for pid in pids.read_text().split() if lives(pid)]


def test_a_command_under_nohup_outlives_its_terminal(pids: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(pids, "up", "--context", "x")
    finally:
        signal.signal(signal.SIGHUP, before)
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.send_signal(signal.SIGTERM)
    assert process.wait(LONG_SECONDS) == 130
    process.communicate()
