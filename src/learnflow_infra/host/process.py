"""Every subprocess goes through here: bounded in time, ended as a group, quotable when it fails."""

from __future__ import annotations

import contextlib
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from learnflow_infra.host import interruption
from learnflow_infra.host.deadline import Deadline

_started: weakref.WeakSet[subprocess.Popen[bytes]] = weakref.WeakSet()
_starting = threading.Lock()
_attached: subprocess.Popen[bytes] | None = None
_DETACH_SECONDS = 5.0


@dataclass(frozen=True)
class Completed:
    argv: tuple[str, ...]
    exit_code: int
    stdout: str
    stderr: str


class CommandFailed(Exception):
    """A command that could not start, or ended with a code that the caller did not expect."""

    def __init__(self, completed: Completed) -> None:
        self.completed = completed
        lines = (completed.stderr or completed.stdout).strip().splitlines()
        self.reason = lines[-1][:300] if lines else f"exit code {completed.exit_code}"
        super().__init__(f"{shlex.join(completed.argv)[:300]}: {self.reason}")


def run(
    argv: Sequence[str],
    *,
    deadline: Deadline,
    stdin: str | None = None,
    env: Mapping[str, str] | None = None,
    expect: Sequence[int] | None = (0,),
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a command to its end.

    `env` is added to this process's own environment. `expect` lists the exit codes that are no
    error; None accepts any. `on_line` gets each line of its standard output as it comes. Raises
    CommandFailed, and the deadline's Failure after ending the command with all that it started.
    """
    try:
        process = start(argv, stdin=subprocess.PIPE if stdin is not None else None, env=env)
    except OSError as error:
        raise CommandFailed(Completed(tuple(argv), 127, "", str(error))) from error
    try:
        if on_line is not None:
            stdout, stderr = _followed(process, deadline, on_line)
        else:
            stdout, stderr = process.communicate(
                stdin.encode() if stdin is not None else None, timeout=deadline.remaining()
            )
    except subprocess.TimeoutExpired as error:
        raise deadline.failure(shlex.join(argv)[:100]) from error
    finally:
        end(process)
    completed = Completed(
        tuple(argv),
        process.returncode,
        stdout.decode(errors="replace"),
        stderr.decode(errors="replace"),
    )
    if expect is not None and completed.exit_code not in expect:
        raise CommandFailed(completed)
    return completed


def _followed(
    process: subprocess.Popen[bytes], deadline: Deadline, on_line: Callable[[str], None]
) -> tuple[bytes, bytes]:
    """Both outputs. Raises subprocess.TimeoutExpired."""
    out, err = process.stdout, process.stderr
    assert out is not None and err is not None
    read = {out.fileno(): b"", err.fileno(): b""}
    reported = 0
    with selectors.DefaultSelector() as selector:
        for number in read:
            selector.register(number, selectors.EVENT_READ)
        while selector.get_map():
            left = deadline.remaining()
            ready = selector.select(left)
            if not ready:
                raise subprocess.TimeoutExpired(process.args, left)
            for key, _ in ready:
                data = os.read(key.fd, 65536)
                read[key.fd] += data
                if not data:
                    selector.unregister(key.fd)
            text = read[out.fileno()]
            while (end_of_line := text.find(b"\n", reported)) >= 0:
                on_line(text[reported:end_of_line].decode(errors="replace"))
                reported = end_of_line + 1
    process.wait(deadline.remaining())
    return read[out.fileno()], read[err.fileno()]


def start(
    argv: Sequence[str],
    *,
    stdin: int | None = None,
    stdout: int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
    env: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a command in a session of its own, so that `end` reaches everything it starts.

    Without `stdin` it reads from nothing: it can never wait for the user. Raises OSError, and
    Failure(interrupted) once the command is.
    """
    with _starting:
        if interruption.begun.is_set():
            raise interruption.failure()
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=stdout,
            stderr=stderr,
            env={**os.environ, **env} if env else None,
            start_new_session=True,
        )
        _started.add(process)
    return process


def attach(argv: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start the user's own command, with this one's streams and in its group, so that what is
    typed at the terminal reaches it; signals are its own from now on (`forward`). Raises OSError.
    """
    global _attached
    _attached = subprocess.Popen(list(argv), env={**os.environ, **env})
    return _attached


def forward(number: int) -> bool:
    """Pass a signal on to the user's command; whether there is one."""
    if _attached is None:
        return False
    # What was typed has reached it already.
    if not (number == signal.SIGINT and os.isatty(0)):
        with contextlib.suppress(OSError):  # it has just ended
            _attached.send_signal(number)
    return True


def detach(process: subprocess.Popen[bytes]) -> None:
    """End the user's command if it still runs: asked first, killed after some seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_DETACH_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def end(process: subprocess.Popen[bytes], grace: float = 1.0) -> None:
    """End a command and its group: asked first, killed after `grace` seconds. Safe to repeat."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            break
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(grace)
        except subprocess.TimeoutExpired:
            continue
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def interrupt(grace: float) -> None:
    """Begin the interruption: end all that was started, killed after `grace` seconds."""
    with _starting:
        interruption.begun.set()
        running = [each for each in _started if each.returncode is None]
    _signal(running, signal.SIGTERM)
    until = time.monotonic() + grace
    for process in running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, until - time.monotonic()))
    _signal(running, signal.SIGKILL)


def _signal(processes: Sequence[subprocess.Popen[bytes]], number: int) -> None:
    for process in processes:
        with contextlib.suppress(OSError):  # its group is gone
            os.killpg(process.pid, number)
