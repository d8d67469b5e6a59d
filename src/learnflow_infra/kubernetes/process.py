"""`kubectl proxy` on a private Unix socket, for as long as one command runs.

It brings the user's contexts, credentials and plug-ins; behind it a request costs milliseconds
instead of a process.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import process
from learnflow_infra.host.deadline import Deadline


class KubectlProxy:
    """The process and its socket. Raises Failure(kubectl-missing)."""

    def __init__(self, kubectl: Sequence[str], context: str) -> None:
        self._folder = tempfile.mkdtemp(prefix="learnflow-")
        self._socket = f"{self._folder}/api"
        self._ending = threading.Lock()
        self._said: str | None = None
        argv = [*kubectl, "proxy", f"--context={context}", f"--unix-socket={self._socket}"]
        # exec is refused by default; who may exec is the API server's decision, not the proxy's.
        argv.append("--reject-paths=^$")
        try:
            self._process = process.start(argv, stderr=subprocess.STDOUT)
        except OSError as error:
            shutil.rmtree(self._folder)
            raise Failure(finding("kubectl-missing", f"kubectl did not start: {error}")) from error

    def end(self) -> None:
        process.end(self._process)
        shutil.rmtree(self._folder, ignore_errors=True)

    def require_alive(self) -> None:
        """Raise Failure(kubectl-failed) if it has ended."""
        if self._process.poll() is None:
            return
        with self._ending:  # what it said can be read once, and threads ask side by side
            if self._said is None:
                assert self._process.stdout is not None
                lines = self._process.stdout.read().decode(errors="replace").strip().splitlines()
                self._said = lines[-1][:300] if lines else f"exit code {self._process.returncode}"
        raise Failure(finding("kubectl-failed", f"kubectl proxy ended: {self._said}"))

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
