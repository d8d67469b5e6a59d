"""Streams into pods: exec and port-forward as WebSockets, and sockets that are carried by one."""

from __future__ import annotations

import contextlib
import math
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from learnflow_infra.findings.failures import Failure, finding

_PROTOCOL = "v4.channel.k8s.io"
_CHUNK = 32768
_ANSWER_SECONDS = 2.0


class Stream:
    """A WebSocket of the API's channel protocol: a message's first byte is its channel."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, channel: int, data: bytes) -> None:
        """Raises OSError once the other side has closed."""
        import websocket

        try:
            self._connection.send_binary(bytes((channel,)) + data)
        except websocket.WebSocketException as error:
            raise ConnectionError(str(error)) from error

    def receive(self, timeout: float | None) -> tuple[int, bytes] | None:
        """The next message that is not empty, or None at the end.

        Raises TimeoutError after `timeout` seconds; with None it waits for as long as it takes.
        """
        import websocket

        self._connection.settimeout(timeout)
        while True:
            try:
                message = self._connection.recv()
            except websocket.WebSocketTimeoutException as error:
                raise TimeoutError from error
            except (OSError, websocket.WebSocketException):
                return None
            if not message:
                if not self._connection.connected:
                    return None
                continue
            if isinstance(message, str):
                message = message.encode()
            if len(message) > 1:
                return message[0], message[1:]

    def end(self) -> None:
        """End it from any thread: who waits in `receive` sees the end, and so does the pod.

        A close alone does neither while another thread receives.
        """
        with contextlib.suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it, for the thread that receives."""
        self.end()
        with contextlib.suppress(Exception):
            self._connection.shutdown()


class Relay:
    """Carries bytes between a stream and a socket, in threads, until both directions ended.

    `send` and `receive` are the stream's channels; anything on another one is its end. The socket
    is closed in the end. The protocol has no half-closed connections, and a socket's peer that has
    closed looks like one that only sends no more: what still comes for it is passed on for as long
    as it comes, and the stream ended after two silent seconds.
    """

    def __init__(self, stream: Stream, sock: socket.socket, *, send: int, receive: int) -> None:
        self._stream = stream
        self._socket = sock
        self._channels = send, receive
        self._heard = time.monotonic()
        self._ended = threading.Event()
        for work in (self._inward, self._outward):
            threading.Thread(target=work, daemon=True).start()

    def _inward(self) -> None:
        with contextlib.suppress(OSError):
            while (message := self._stream.receive(None)) and message[0] == self._channels[1]:
                self._heard = math.inf  # a socket that takes its time is not the stream's silence
                self._socket.sendall(message[1])
                self._heard = time.monotonic()
        self._ended.set()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._stream.close()

    def _outward(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(_CHUNK):
                self._stream.send(self._channels[0], data)
        silent_since = time.monotonic()
        while (left := max(self._heard, silent_since) + _ANSWER_SECONDS - time.monotonic()) > 0:
            if self._ended.wait(min(left, _ANSWER_SECONDS)):
                break
        self._stream.end()
        self._ended.wait()
        self._socket.close()


def as_socket(stream: Stream, *, send: int, receive: int, first: bytes = b"") -> socket.socket:
    """An ordinary connected socket, of which a stream is the other end; `first` came already."""
    ours, theirs = socket.socketpair()
    if first:
        ours.sendall(first)
    Relay(stream, ours, send=send, receive=receive)
    return theirs


def opened(
    connection: socket.socket, target: str, refusal: Callable[[int, str, bytes], Failure]
) -> Stream:
    """A stream on a connection to the API. Raises Failure, for a status of 400 or more the one that
    `refusal` makes of it, and TimeoutError after the connection's own timeout."""
    import websocket

    session = websocket.WebSocket()
    try:
        session.connect(  # type: ignore[no-untyped-call]
            f"ws://localhost/{target}",
            socket=connection,
            subprotocols=[_PROTOCOL],
            suppress_origin=True,
        )
    except websocket.WebSocketBadStatusException as error:
        body = error.resp_body or b""
        form = (error.resp_headers or {}).get("content-type", "")
        raise refusal(error.status_code, form, body) from error
    except websocket.WebSocketTimeoutException as error:
        raise TimeoutError from error
    except TimeoutError:
        raise
    except (OSError, websocket.WebSocketException) as error:
        raise Failure(
            finding("cluster-unreachable", f"a stream to a pod did not open: {error!r:.200}")
        ) from error
    return Stream(session)
