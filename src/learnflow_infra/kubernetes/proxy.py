"""An HTTP CONNECT proxy on loopback, by which a client library's connections take a route."""

from __future__ import annotations

import base64
import contextlib
import secrets
import socket
import threading

from learnflow_infra.kubernetes.listener import Listener
from learnflow_infra.kubernetes.routes import CONNECT_SECONDS, Route

_CHUNK = 32768


class Proxy:
    """An HTTP CONNECT proxy on loopback that dials by a route, for clients that take a proxy.

    Its URL carries a random password, so that no one else on the machine gets through. Failed
    dials are kept in `refusals`, because clients tell little of why a connection failed; the others
    in `reached`.
    """

    def __init__(self, route: Route) -> None:
        self._route = route
        self._password = secrets.token_hex(16)
        credentials = base64.b64encode(f"learnflow:{self._password}".encode()).decode()
        self._expected = f"proxy-authorization: basic {credentials}".lower()
        self._listener = Listener(self._serve)
        self.refusals: dict[str, Exception] = {}
        self.reached: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://learnflow:{self._password}@127.0.0.1:{self._listener.port}"

    def __enter__(self) -> Proxy:
        self._listener.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.__exit__(*exc)

    def _serve(self, client: socket.socket) -> None:
        request = b""
        client.settimeout(CONNECT_SECONDS)
        with contextlib.suppress(OSError):
            while b"\r\n\r\n" not in request and len(request) < 8192:
                data = client.recv(4096)
                if not data:
                    break
                request += data
        lines = request.decode(errors="replace").split("\r\n")
        words = lines[0].split(" ")
        if len(words) != 3 or self._expected not in (line.lower() for line in lines[1:]):
            client.close()
            return
        host, _, port = words[1].rpartition(":")
        try:
            server = self._route.dial(host, int(port))
        except Exception as error:  # the client gets its refusal whatever the cause
            self.refusals[words[1]] = error
            with contextlib.suppress(OSError):
                client.sendall(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
            client.close()
            return
        self.reached.add(words[1])
        client.settimeout(None)
        client.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
        _splice(client, server)


def _splice(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways, each until its end, which is passed on; then close both."""
    with one, other:
        back = threading.Thread(target=_carry, args=(other, one), daemon=True)
        back.start()
        _carry(one, other)
        back.join()


def _carry(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
