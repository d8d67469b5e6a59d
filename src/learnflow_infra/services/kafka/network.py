"""kafka-python's connections, made so that it is known why one failed.

The library tries again whatever happened, and in the end only says that it took too long; a TLS
handshake it awaits for ever. It also drops what it has just read where the connection ends right
behind it, as it does behind a broker's refusal.
"""

from __future__ import annotations

import functools
import socket
import ssl
from collections.abc import Callable
from typing import Any

PROXY_SCHEME = "learnflow"


class _EndAlone:
    """Never tells the end of a connection together with data: first the data, then the end."""

    _said = False

    def recv(self, *arguments: Any) -> bytes:
        data: bytes = super().recv(*arguments)  # type: ignore[misc]
        if self._said and not data:
            self._said = False
            raise BlockingIOError
        self._said = bool(data)
        return data


class _Socket(_EndAlone, socket.socket):
    pass


def tls_socket(on_handshake: Callable[[ssl.SSLSocket], None]) -> type[ssl.SSLSocket]:
    """What a client's context is to make, as its `sslsocket_class`; each handshake is shown."""

    class TlsSocket(_EndAlone, ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:
            try:
                super().do_handshake(block)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except OSError:
                self.close()  # the library forgets it
                raise
            on_handshake(self)

    return TlsSocket


def network(report: Callable[[Exception], None], **config: Any) -> tuple[Any, Any]:
    """A client's connections, and the manager that makes them; each failure is reported.

    The client's `proxy_url` may be that of a HTTP proxy, but with PROXY_SCHEME.
    """
    from kafka.net.compat import KafkaNetClient
    from kafka.net.selector import NetworkSelector

    selector = NetworkSelector(**config)
    manager = _manager()(selector, **config)
    manager.selector, manager.report = selector, report
    return KafkaNetClient(net=selector, manager=manager), manager


@functools.cache
def _manager() -> Any:
    from kafka.errors import KafkaTimeoutError
    from kafka.net.http_connect import HttpConnectProxy
    from kafka.net.manager import KafkaConnectionManager

    class Proxied(HttpConnectProxy):  # type: ignore[misc]
        SCHEMES = (PROXY_SCHEME,)  # the library registers it by this

        async def connect(self, *arguments: Any, **options: Any) -> _Socket:
            connected = await super().connect(*arguments, **options)
            made = _Socket(fileno=connected.detach())
            made.setblocking(False)
            return made

    class Manager(KafkaConnectionManager):  # type: ignore[misc]
        selector: Any
        report: Callable[[Exception], None]
        _refusal: Exception | None = None

        def get_connection(self, node_id: object, **options: Any) -> Any:
            if self._refusal:
                raise self._refusal
            connection = super().get_connection(node_id, **options)
            if not connection.init_future.is_done:
                connection.init_future.add_errback(self._failed)
                limit = options.get("timeout_ms") or self.socket_connection_setup_timeout_ms(
                    node_id
                )
                self.selector.call_later(limit / 1000, lambda: self._give_up(connection))
            return connection

        def _give_up(self, connection: Any) -> None:
            if not connection.init_future.is_done:
                connection.close(KafkaTimeoutError("no answer to the handshake"))

        def _failed(self, error: Exception) -> None:
            self.report(error)
            if _is_refusal(error):
                self._refusal = error

    return Manager


def _is_refusal(error: Exception) -> bool:
    """Whether trying again cannot help: of a login, or of a TLS handshake that did not just end."""
    from kafka import errors

    of_login = (errors.SaslAuthenticationFailedError, errors.UnsupportedSaslMechanismError)
    of_tls = isinstance(error.__context__, ssl.SSLError)
    broken_off = isinstance(error.__context__, ssl.SSLEOFError)
    return isinstance(error, of_login) or (of_tls and not broken_off)
