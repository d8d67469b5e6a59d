"""Streams into pods: exec and port-forward, as WebSockets."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes import errors

_PROTOCOL = "v4.channel.k8s.io"


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

    def receive(self, timeout: float) -> tuple[int, bytes] | None:
        """The next message that is not empty, or None at the end. Raises TimeoutError."""
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

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.shutdown()


def opened(connection: socket.socket, target: str, context: str) -> Stream:
    """A stream on a connection to the API. Raises Failure, and TimeoutError after the connection's
    own timeout."""
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
        raise errors.refusal(context, error.status_code, form, body) from error
    except websocket.WebSocketTimeoutException as error:
        raise TimeoutError from error
    except TimeoutError:
        raise
    except (OSError, websocket.WebSocketException) as error:
        raise Failure(
            finding("cluster-unreachable", f"a stream to a pod did not open: {error!r:.200}")
        ) from error
    return Stream(session)
