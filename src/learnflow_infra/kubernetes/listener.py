"""A listening port of this machine's loopback."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
import time
from collections.abc import Callable

# Of one connection, or over when others have ended: the listener goes on.
_PASSING = {errno.ECONNABORTED, errno.EMFILE, errno.ENFILE}
_PAUSE_SECONDS = 0.1


class Listener:
    """Accepts on a loopback address and hands each connection to a thread. A context manager.

    Port 0 is any that is free. Raises OSError where the address cannot be had.
    """

    def __init__(
        self, handle: Callable[[socket.socket], None], port: int = 0, address: str = "127.0.0.1"
    ) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._server = socket.create_server((address, port), family=family)
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
        while True:
            try:
                client, _ = self._server.accept()
            except OSError as error:
                if error.errno not in _PASSING:
                    return
                time.sleep(_PAUSE_SECONDS)
            else:
                threading.Thread(target=self._handle, args=(client,), daemon=True).start()
