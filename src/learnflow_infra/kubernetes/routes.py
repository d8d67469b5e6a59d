"""Connections to a service by two routes: as a pod in the cluster makes them, and from the host.

Both give an ordinary connected socket, so that any client library can use them. In the cluster
means inside a pod of ours: its resolver finds the name and its network reaches the Service. From
the host means a port-forward, the way that `connect` goes.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from learnflow_infra.kubernetes.client import ApiError, Kube, Stream

CONNECT_SECONDS = 5
_RESOLVE_SECONDS = 2
_NO_RESOLVER = "Temporary failure in name resolution"
_CHUNK = 32768

# bash's own TCP: nothing need be added to an image. The address comes on standard input, so that a
# relay can be started before it is known what it is for, and never becomes code. The mark is the
# first byte after a connection. Whichever direction ends first ends the other, and no process is
# left to a new parent: a PostgreSQL that is PID 1 takes the end of a foreign child for a crash.
_RELAY = """
read -rt 60 host port
exec 3<>"/dev/tcp/$host/$port" 4<&0 || exit 1
printf +
cat <&3 &
cat <&4 >&3 &
wait -n
kill $(jobs -p) 2>/dev/null
wait
"""


class DialError(Exception):
    """A connection that could not be made, with the reason that the route gave."""


class Route(Protocol):
    """A way to reach addresses; `dial` raises DialError."""

    name: str

    def dial(self, host: str, port: int) -> socket.socket: ...


class InCluster:
    """Connections made inside a pod's container, by the cluster's DNS and Services.

    Each is an exec, most of whose 80 ms is the runtime's: `expected` of them are begun at once,
    ahead of the dials. A context manager.
    """

    name = "cluster"

    def __init__(
        self, kube: Kube, namespace: str, pod: str, container: str, expected: int = 0
    ) -> None:
        self._kube = kube
        self._place = (namespace, pod, container)
        self._pool = ThreadPoolExecutor(max(1, expected))
        self._relays = deque(self._pool.submit(self._relay) for _ in range(expected))

    def __enter__(self) -> InCluster:
        return self

    def __exit__(self, *exc: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        for unused in self._relays:
            if not unused.cancelled() and unused.exception() is None:
                unused.result().close()

    def _relay(self) -> Stream:
        return self._kube.exec(*self._place, ["bash", "-c", _RELAY])

    def _resolves(self, host: str) -> bool:
        """Whether the pod's resolver answers at all: bash does not say what it waited for."""
        try:
            stream = self._kube.exec(*self._place, ["getent", "hosts", host])
        except ApiError:
            return True
        try:
            stream.receive(_RESOLVE_SECONDS)
        except TimeoutError:
            return False
        finally:
            stream.close()
        return True

    def dial(self, host: str, port: int) -> socket.socket:
        said = b""
        try:
            stream = self._relays.popleft().result() if self._relays else self._relay()
        except ApiError as error:
            raise DialError(f"exec in pod {self._place[1]}: {error.message}") from error
        try:
            stream.send(0, f"{host} {port}\n".encode())
            while message := stream.receive(CONNECT_SECONDS):
                channel, data = message
                if channel == 1:
                    return _socket(stream, data[1:], send=0, receive=1)
                said += data
                if channel == 3:
                    break
        except TimeoutError:
            said += b"Connection timed out" if self._resolves(host) else _NO_RESOLVER.encode()
        except ConnectionError as error:
            said += str(error).encode()
        stream.close()
        raise DialError(_reason(said.decode(errors="replace")))


def on_localhost(ports: Mapping[int, tuple[str, int]]) -> dict[str, tuple[str, int]]:
    """Ports of this machine as the addresses that its clients know."""
    return {f"localhost:{port}": target for port, target in ports.items()}


class FromHost:
    """Connections through port-forwards: `addresses` maps an advertised one to (pod, its port)."""

    name = "host"

    def __init__(
        self, kube: Kube, namespace: str, addresses: Mapping[str, tuple[str, int]]
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._addresses = addresses

    def dial(self, host: str, port: int) -> socket.socket:
        if (address := f"{host}:{port}") not in self._addresses:
            raise DialError(f"{address} is no address that a client on the host can reach")
        pod, target = self._addresses[address]
        try:
            stream = self._kube.forward(self._namespace, pod, target)
        except ApiError as error:
            raise DialError(f"port-forward to {pod}:{target}: {error.message}") from error
        # Both channels open with the port's number; an error, if any, follows on channel 1.
        for _ in range(2):
            message = stream.receive(CONNECT_SECONDS)
            if message is None:
                raise DialError(f"the port-forward to {pod}:{target} closed")
        return _socket(stream, b"", send=0, receive=0)


def _reason(said: str) -> str:
    known = ("Name or service not known", _NO_RESOLVER)
    for text in (*known, "Connection refused", "Connection timed out", "No route to host"):
        if text.lower() in said.lower():
            return text
    return " ".join(said.split())[-200:] or "the connection closed"


def _socket(stream: Stream, first: bytes, *, send: int, receive: int) -> socket.socket:
    ours, theirs = socket.socketpair()
    if first:
        ours.sendall(first)

    def inward() -> None:
        with contextlib.suppress(OSError):
            while (message := stream.receive(3600)) is not None:
                if message[0] == receive:
                    ours.sendall(message[1])
                else:
                    break
        with contextlib.suppress(OSError):
            ours.shutdown(socket.SHUT_RDWR)

    def outward() -> None:
        with contextlib.suppress(OSError):
            while data := ours.recv(_CHUNK):
                stream.send(send, data)
        stream.close()

    for work in (inward, outward):
        threading.Thread(target=work, daemon=True).start()
    return theirs


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
        self._listener = Listener(0, self._serve)
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
        splice(client, server)
