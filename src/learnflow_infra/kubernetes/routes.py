"""Connections to a service by two routes: as a pod in the cluster makes them, and from the host.

Both give an ordinary connected socket, so that any client library can use them. In the cluster
means inside a client's pod: its resolver finds the name and its network reaches the Service. From
the host means a port-forward, the way that `connect` goes.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.streams import Relay, Stream, as_socket

CONNECT_SECONDS = 5
_RESOLVE_SECONDS = 2
_NO_RESOLVER = "Temporary failure in name resolution"
# What a network says of packets that it does not let through.
BLOCKED = ("Connection refused", "Connection timed out", "No route to host")

# bash's own TCP: nothing need be added to an image. The address comes on standard input, so that a
# relay can be started before it is known what it is for, and never becomes code. The mark is the
# first byte after a connection. Whichever direction ends first ends the other, and no process is
# left to a new parent.
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

    def _next(self) -> Stream:
        """A relay that was begun ahead, or else a new one; never the one of a dial beside."""
        try:
            begun = self._relays.popleft()
        except IndexError:
            return self._relay()
        return begun.result()

    def finds(self, host: str) -> bool | None:
        """Whether the pod's resolver knows a name; None where it does not answer."""
        stream = self._kube.exec(*self._place, ["getent", "hosts", host])
        try:
            message = stream.receive(_RESOLVE_SECONDS)
        except TimeoutError:
            return None
        finally:
            stream.close()
        return message is not None and message[0] == 1

    def _resolves(self, host: str) -> bool:
        """Whether the resolver answers at all: bash does not say what it waited for."""
        try:
            return self.finds(host) is not None
        except ApiError:
            return True

    def dial(self, host: str, port: int) -> socket.socket:
        output = b""
        try:
            stream = self._next()
        except ApiError as error:
            raise DialError(f"exec in pod {self._place[1]}: {error.message}") from error
        try:
            stream.send(0, f"{host} {port}\n".encode())
            while message := stream.receive(CONNECT_SECONDS):
                channel, data = message
                if channel == 1:
                    return as_socket(stream, send=0, receive=1, first=data[1:])
                output += data
                if channel == 3:
                    break
        except TimeoutError:
            output += b"Connection timed out" if self._resolves(host) else _NO_RESOLVER.encode()
        except ConnectionError as error:
            output += str(error).encode()
        stream.close()
        raise DialError(_reason(output.decode(errors="replace")))


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
        return as_socket(self._open(host, port), send=0, receive=0)

    def carry(self, client: socket.socket, host: str, port: int) -> None:
        """Connect a socket to an address, and close it when either side ended. Raises DialError."""
        Relay(self._open(host, port), client, send=0, receive=0)

    def _open(self, host: str, port: int) -> Stream:
        if (address := f"{host}:{port}") not in self._addresses:
            raise DialError(f"{address} is no address that a client on the host can reach")
        pod, target = self._addresses[address]
        try:
            stream = self._kube.forward(self._namespace, pod, target)
        except ApiError as error:
            raise DialError(f"port-forward to {pod}:{target}: {error.message}") from error
        try:
            # Both channels open with the port's number; an error, if any, follows on channel 1.
            opened = all(stream.receive(CONNECT_SECONDS) for _ in range(2))
        except TimeoutError as error:
            stream.close()
            raise DialError("Connection timed out") from error
        if not opened:
            stream.close()
            raise DialError(f"the port-forward to {pod}:{target} closed")
        return stream


def _reason(output: str) -> str:
    known = ("Name or service not known", _NO_RESOLVER)
    for text in (*known, *BLOCKED):
        if text.lower() in output.lower():
            return text
    return " ".join(output.split())[-200:] or "the connection closed"
