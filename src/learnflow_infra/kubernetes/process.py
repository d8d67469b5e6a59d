"""`kubectl proxy` on a private Unix socket, for as long as one command runs.

It brings the user's contexts, credentials and plug-ins; behind it a request costs milliseconds
instead of a process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import process, proxies
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import kubeconfig, reaching
from learnflow_infra.kubernetes.errors import NotReached
from learnflow_infra.kubernetes.kubeconfig import Entry
from learnflow_infra.kubernetes.output import Output

_NAME = "api"
_MOST_PATH_BYTES = 103  # of a Unix socket on macOS; Linux takes 107
_BEGIN_SECONDS = 120.0  # Minikube may have to fetch its kubectl first
_LOGIN_SECONDS = 15.0  # after which is looked again whether the user has time left to log in

# Whoever reaches the socket acts with the user's credentials: it ends with this process, even when
# that is killed. Only this process holds the other end of the pipe on standard input. The watcher
# reads it, and is one of the group that it ends.
# A credential plug-in may ask the user: it gets the terminal, where there is one.
_WATCHED = """\
exec 3<&0 <"$1"
shift
{ read -r _; rm -rf "$0"; kill 0; } <&3 >/dev/null 2>&1 &
exec "$@" 3<&-
"""


class KubectlProxy:
    """The process and its socket. Raises Failure: `kubectl-missing`, `kubectl-failed`.

    `note` gets what the user is to read whole, such as what a credential plug-in asks.
    """

    def __init__(
        self, kubectl: Sequence[str], context: str, note: Callable[[str], None] = lambda _: None
    ) -> None:
        if shutil.which(kubectl[0]) is None:
            raise Failure(finding("kubectl-missing", f"{kubectl[0]} is no program"))
        self._kubectl, self._context, self._note = kubectl, context, note
        self.answered = False
        """Whether the API server ever did."""
        self._folder = _folder()
        self._socket = f"{self._folder}/{_NAME}"
        argv = [*kubectl, "proxy", f"--context={context}", f"--unix-socket={self._socket}"]
        # exec is refused by default; who may exec is the API server's decision, not the proxy's.
        argv.append("--reject-paths=^$")
        output, theirs = os.pipe()
        try:
            self._process = process.start(
                ["/bin/sh", "-c", _WATCHED, self._folder, _terminal(), *argv],
                stdin=subprocess.PIPE,
                stdout=theirs,
                stderr=theirs,
            )
        except OSError as error:
            os.close(output)
            shutil.rmtree(self._folder)
            raise Failure(finding("kubectl-failed", f"kubectl did not start: {error}")) from error
        finally:
            os.close(theirs)
        self._begins = Deadline(_BEGIN_SECONDS)
        self._output = Output(output, self._pass_on)

    @cached_property
    def entry(self) -> Entry:
        """What the kubeconfig says of the context; read when something is wrong or slow."""
        return kubeconfig.read(self._kubectl, self._context)

    def _pass_on(self, line: str) -> None:
        if self.entry.plugin:
            self._note(f"{Path(self.entry.plugin).name}: {line}")

    def explained(self, error: NotReached) -> Failure:
        """The error with what stands behind it."""
        return reaching.explained(self._context, error, lambda: self.entry, self._output.words)

    def end(self) -> None:
        process.end(self._process)
        self._output.end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def require_alive(self) -> None:
        """Raise Failure(kubectl-failed) if it has ended."""
        if self._process.poll() is None:
            return
        last = self._output.last() or f"exit code {self._process.returncode}"
        raise reaching.ended(self._context, proxies.without_password(last)[:300])

    def connect(self, timeout: float, deadline: Deadline) -> socket.socket:
        """A connection to it, on which all must have come after `timeout` seconds; while a
        credential plug-in may ask the user, until the deadline.

        At first its socket is not there, then nothing listens yet; later its queue may be full.
        """
        while True:
            connection = _Timed(timeout, lambda: self._login_seconds(deadline))
            try:
                connection.connect(self._socket)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as error:
                connection.close()
                self.require_alive()
                if deadline.passed():
                    raise deadline.failure("kubectl proxy") from error
                if self._begins.passed():
                    message = f"kubectl proxy does not listen after {_BEGIN_SECONDS:g} s"
                    raise Failure(finding("kubectl-failed", message)) from error
                time.sleep(0.005)
            else:
                return connection

    def _login_seconds(self, deadline: Deadline) -> float:
        """How much longer an answer may take, because the user may be logging in."""
        if self.answered or not self.entry.plugin:
            return 0
        what = f"the credential plug-in {self.entry.plugin}"
        if deadline.passed():
            raise deadline.failure(what)
        self._note(f"waiting for {what}")
        return min(_LOGIN_SECONDS, deadline.remaining())


def _terminal() -> str:
    """The terminal that the user types at; without one, nothing can be read."""
    try:
        terminal = os.ttyname(sys.stdin.fileno())
    except (OSError, AttributeError, ValueError):  # none, closed, or not of the system's
        return os.devnull
    return terminal if os.access(terminal, os.R_OK) else os.devnull  # it may be another user's


def _folder() -> str:
    """A folder for the socket alone, not for others, with a path that a socket's address holds."""
    folder = tempfile.mkdtemp(prefix="learnflow-")
    if len(os.fsencode(f"{folder}/{_NAME}")) <= _MOST_PATH_BYTES:
        return folder
    Path(folder).rmdir()
    return tempfile.mkdtemp(prefix="learnflow-", dir="/tmp")


class _Timed(socket.socket):
    """A socket on which all that is received must have come by one moment.

    When that has come, `more` says for how many seconds it is put off; 0 is not at all.
    """

    def __init__(self, seconds: float, more: Callable[[], float]) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.settimeout(seconds)
        self._until = time.monotonic() + seconds
        self._more = more

    def recv_into(self, *arguments: Any) -> int:
        while True:
            if (left := self._until - time.monotonic()) > 0:
                self.settimeout(left)
                try:
                    return super().recv_into(*arguments)
                except TimeoutError:
                    pass
            if not (seconds := self._more()):
                raise TimeoutError
            self._until = time.monotonic() + seconds
