"""What `connect` listens on, and how it carries a connection: each side's end reaches the other."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import shlex
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import websocket

from learnflow_infra.commands import connect
from learnflow_infra.findings.failures import Failure
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.listener import Listener
from learnflow_infra.kubernetes.proxy import Proxy
from learnflow_infra.kubernetes.routes import DialError, FromHost, InCluster
from learnflow_infra.kubernetes.streams import Relay, Stream
from learnflow_infra.services import registry

_SECONDS = 20.0


class Pod:
    """The other end of a stream: a WebSocket server whose frames are short."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(_SECONDS)
        self._socket = sock
        self._file = sock.makefile("rb")

    def receive(self) -> bytes:
        """The next message; empty at the end."""
        head = self._file.read(2)
        if not head:
            return b""
        mask, data = self._file.read(4), self._file.read(head[1] & 127)
        return bytes(byte ^ mask[n % 4] for n, byte in enumerate(data))

    def send(self, data: bytes) -> None:
        self._socket.sendall(struct.pack("BB", 0x82, len(data)) + data)

    def close(self) -> None:
        self._file.close()
        self._socket.close()


@pytest.fixture
def made() -> Iterator[Callable[[], tuple[Stream, Pod]]]:
    """Makes a stream and the pod at its end."""
    pods = []

    def make() -> tuple[Stream, Pod]:
        ours, theirs = socket.socketpair()
        connection = websocket.WebSocket()
        connection.sock = ours
        connection.connected = True
        pods.append(Pod(theirs))
        return Stream(connection), pods[-1]

    yield make
    for pod in pods:
        pod.close()


Made = Callable[[], tuple[Stream, Pod]]


@pytest.fixture
def carried(made: Made) -> Iterator[tuple[socket.socket, Pod]]:
    """A client and the pod that it is connected with."""
    stream, pod = made()
    ours, client = socket.socketpair()
    client.settimeout(_SECONDS)
    Relay(stream, ours, send=0, receive=0)
    with client:
        yield client, pod


def test_what_a_client_sends_reaches_the_pod_and_back(carried: tuple[socket.socket, Pod]) -> None:
    client, pod = carried
    client.sendall(b"ask")
    assert pod.receive() == b"\0ask"
    pod.send(b"\0answer")
    assert client.recv(100) == b"answer"


def test_a_client_s_close_ends_its_session(carried: tuple[socket.socket, Pod]) -> None:
    client, pod = carried
    client.close()
    assert pod.receive() == b""


def test_a_client_that_sends_no_more_has_its_answer(carried: tuple[socket.socket, Pod]) -> None:
    client, pod = carried
    client.sendall(b"ask")
    client.shutdown(socket.SHUT_WR)
    assert pod.receive() == b"\0ask"
    for part in (b"\0an", b"\0swer"):
        pod.send(part)
    assert b"".join(iter(lambda: client.recv(100), b"")) == b"answer"
    assert pod.receive() == b""


def test_a_server_s_close_ends_the_client_s_connection(carried: tuple[socket.socket, Pod]) -> None:
    client, pod = carried
    pod.send(b"\0bye")
    pod.close()
    assert client.recv(100) == b"bye"
    assert client.recv(100) == b""


def test_a_connection_may_be_silent_for_ever(made: Made) -> None:
    stream = made()[0]
    waits: list[float | None] = []
    asked = threading.Event()

    def receive(timeout: float | None) -> None:
        waits.append(timeout)
        asked.set()

    stream.receive = receive  # type: ignore[method-assign]
    ours, client = socket.socketpair()
    with client:
        Relay(stream, ours, send=0, receive=0)
        assert asked.wait(_SECONDS)
        assert client.recv(1) == b""
    assert waits == [None]


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """The next ones are past what `select` can name."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    with Path(os.devnull).open() as file:
        taken = [os.dup(file.fileno()) for _ in range(1100)]
    yield
    for each in taken:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def echo(client: socket.socket) -> None:
    with client, contextlib.suppress(OSError):
        while data := client.recv(100):
            client.sendall(data)


def test_descriptors_may_be_many(
    made: Made, many_descriptors: None, carried: tuple[socket.socket, Pod]
) -> None:
    test_what_a_client_sends_reaches_the_pod_and_back(carried)

    class Echo:
        name = "host"

        def dial(self, host: str, port: int) -> socket.socket:
            ours, theirs = socket.socketpair()
            threading.Thread(target=echo, args=(ours,), daemon=True).start()
            return theirs

    with Proxy(Echo()) as proxy:
        credentials = proxy._expected.partition(": ")[2]
        with socket.create_connection(("127.0.0.1", proxy._listener.port), _SECONDS) as client:
            client.sendall(
                f"CONNECT x:1 HTTP/1.1\r\nProxy-Authorization: {credentials}\r\n\r\n".encode()
            )
            assert client.recv(100).startswith(b"HTTP/1.1 200")
            client.sendall(b"ask")
            assert client.recv(100) == b"ask"
            client.shutdown(socket.SHUT_WR)
            assert client.recv(100) == b""


class Emptied(deque[Any]):
    """Looks as if one were left, which a dial beside this one then takes."""

    def __bool__(self) -> bool:
        return True


class Forwarded:
    """A Kube that opens the streams that are made for it."""

    def __init__(self, made: Made) -> None:
        self._made = made

    def exec(self, *_: object) -> Stream:
        stream, pod = self._made()

        def answer() -> None:
            pod.receive()
            pod.send(b"\1+")

        threading.Thread(target=answer, daemon=True).start()
        return stream

    def forward(self, *_: object) -> Stream:
        return self._made()[0]


def test_two_dials_at_once_do_not_share_a_relay(made: Made) -> None:
    with InCluster(cast(Kube, Forwarded(made)), "learnflow", "pod", "container") as route:
        route._relays = Emptied()
        route.dial("postgres", 5432).close()


def test_a_port_forward_that_says_nothing_is_a_connection_that_was_not_made(
    made: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.kubernetes.routes.CONNECT_SECONDS", 0.05)
    route = FromHost(cast(Kube, Forwarded(made)), "learnflow", {"localhost:1": ("pod", 1)})
    with pytest.raises(DialError, match="Connection timed out"):
        route.dial("localhost", 1)


def test_both_addresses_of_localhost_are_listened_on(made: Made) -> None:
    with Listener(echo) as free:
        port = free.port
    route = FromHost(cast(Kube, Forwarded(made)), "learnflow", {})
    with contextlib.ExitStack() as open_:
        for listener in connect._listeners(registry.find("postgres"), route, port):
            open_.enter_context(listener)
        for address in ("127.0.0.1", "::1"):
            with socket.create_connection((address, port), _SECONDS) as client:
                assert client.recv(1) == b""


@pytest.mark.parametrize(
    ("address", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)
def test_an_address_that_another_program_has_is_named(
    made: Made, address: str, family: socket.AddressFamily
) -> None:
    route = FromHost(cast(Kube, Forwarded(made)), "learnflow", {})
    with socket.create_server((address, 0), family=family) as taken:
        port = taken.getsockname()[1]
        with contextlib.ExitStack() as open_, pytest.raises(Failure) as refused:
            for listener in connect._listeners(registry.find("postgres"), route, port):
                open_.enter_context(listener)
    found = refused.value.findings[0]
    assert (found.code, found.service) == ("host-port-taken", "postgres")
    assert f"{port} on localhost ({address})" in found.message


@pytest.mark.parametrize("number", [errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL])
def test_a_machine_may_have_no_ipv6(
    made: Made, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    make = socket.create_server

    def without(address: Any, *, family: int = socket.AF_INET) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(number, os.strerror(number))
        return make(address, family=family)

    monkeypatch.setattr(socket, "create_server", without)
    route = FromHost(cast(Kube, Forwarded(made)), "learnflow", {})
    (listener,) = connect._listeners(registry.find("postgres"), route, 0)
    with listener, socket.create_connection(("127.0.0.1", listener.port), _SECONDS) as client:
        assert client.recv(1) == b""


def test_the_command_for_the_password_is_one_that_a_shell_takes() -> None:
    context = "it's $(mine) & yours"
    command = connect._password_command(context, "learnflow", "postgres-connection")
    words = shlex.split(command)
    assert words[:3] == ["kubectl", "--context", context]
    assert words[-5:] == ["-o", "jsonpath={.data.password}", "|", "base64", "-d"]
