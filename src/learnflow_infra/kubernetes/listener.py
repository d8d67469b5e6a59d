"""Ports of this machine's loopback, and the carrying of bytes between two sockets."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
from collections.abc import Callable

_CHUNK = 32768


def splice(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until either side ends, then close both."""
    pairs = {one: other, other: one}
    with one, other, contextlib.suppress(OSError):
        while True:
            for readable in select.select(list(pairs), [], [])[0]:
                data = readable.recv(_CHUNK)
                if not data:
                    return
                pairs[readable].sendall(data)


class Listener:
    """Accepts on a loopback port and hands each connection to a thread. A context manager."""

    def __init__(self, port: int, handle: Callable[[socket.socket], None]) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self.port: int = self._server.getsockname()[1]
        self._handle = handle

    def __enter__(self) -> Listener:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        # shutdown wakes the thread that waits in accept; close alone does not.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()
