"""`kubectl proxy` on a private Unix socket, for as long as one command runs.

It brings the user's contexts, credentials and plug-ins; behind it a request costs milliseconds
instead of a process.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import process
from learnflow_infra.host.deadline import Deadline

_NAME = "api"
_MOST_PATH_BYTES = 103  # of a Unix socket on macOS; Linux takes 107
_OUTPUT_BYTES = 4096  # what is kept of the last that it printed
_OUTPUT_SECONDS = 1.0  # for its last words, once it has ended

# Whoever reaches the socket acts with the user's credentials: it ends with this process, even when
# that is killed. Only this process holds the other end of the pipe on standard input. The watcher
# reads it, and is one of the group that it ends.
_WATCHED = """\
exec 3<&0 </dev/null
{ read -r _; rm -rf "$0"; kill 0; } <&3 >/dev/null 2>&1 &
exec "$@" 3<&-
"""


class KubectlProxy:
    """The process and its socket. Raises Failure(kubectl-missing)."""

    def __init__(self, kubectl: Sequence[str], context: str) -> None:
        if shutil.which(kubectl[0]) is None:
            raise Failure(finding("kubectl-missing", f"{kubectl[0]} is no program"))
        self._folder = _folder()
        self._socket = f"{self._folder}/{_NAME}"
        argv = [*kubectl, "proxy", f"--context={context}", f"--unix-socket={self._socket}"]
        # exec is refused by default; who may exec is the API server's decision, not the proxy's.
        argv.append("--reject-paths=^$")
        output, theirs = os.pipe()
        self._process = process.start(
            ["/bin/sh", "-c", _WATCHED, self._folder, *argv],
            stdin=subprocess.PIPE,
            stdout=theirs,
            stderr=theirs,
        )
        os.close(theirs)
        self._printed = b""
        self._reader = threading.Thread(target=self._read, args=(output,), daemon=True)
        self._reader.start()

    def _read(self, output: int) -> None:
        """Take all that it prints, so that it never waits for a reader; keep the end."""
        with os.fdopen(output, "rb", buffering=0) as stream:
            while data := stream.read(65536):
                self._printed = (self._printed + data)[-_OUTPUT_BYTES:]

    def end(self) -> None:
        process.end(self._process)
        self._reader.join(_OUTPUT_SECONDS)
        shutil.rmtree(self._folder, ignore_errors=True)

    def require_alive(self) -> None:
        """Raise Failure(kubectl-failed) if it has ended."""
        if self._process.poll() is None:
            return
        self._reader.join(_OUTPUT_SECONDS)
        lines = self._printed.decode(errors="replace").strip().splitlines()
        said = lines[-1][:300] if lines else f"exit code {self._process.returncode}"
        raise Failure(finding("kubectl-failed", f"kubectl proxy ended: {said}"))

    def connect(self, timeout: float, deadline: Deadline) -> socket.socket:
        """A connection to it, on which all must have come after `timeout` seconds.

        At first its socket is not there, then nothing listens yet; later its queue may be full.
        """
        while True:
            connection = _Timed(timeout)
            try:
                connection.connect(self._socket)
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                connection.close()
                self.require_alive()
                deadline.remaining()
                time.sleep(0.005)
            else:
                return connection


def _folder() -> str:
    """A folder for the socket alone, not for others, with a path that a socket's address holds."""
    folder = tempfile.mkdtemp(prefix="learnflow-")
    if len(os.fsencode(f"{folder}/{_NAME}")) <= _MOST_PATH_BYTES:
        return folder
    Path(folder).rmdir()
    return tempfile.mkdtemp(prefix="learnflow-", dir="/tmp")


class _Timed(socket.socket):
    """A socket on which all that is received must have come by one moment."""

    def __init__(self, seconds: float) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.settimeout(seconds)
        self._until = time.monotonic() + seconds

    def recv_into(self, *arguments: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*arguments)
