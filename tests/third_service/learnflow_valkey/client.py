"""A strict client's few commands, in RESP: https://valkey.io/topics/protocol."""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Iterator

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.routes import DialError, Route
from learnflow_infra.services import ANSWER_SECONDS, Access
from learnflow_infra.services.shared import tls
from learnflow_infra.services.shared.unreachable import label, unreachable
from learnflow_valkey.settings import ValkeySettings

PORT = 6379


class Session:
    """A connection of the application's user. Raises Failure with what the server answers."""

    def __init__(self, sock: socket.socket, where: str) -> None:
        self._sock, self._where = sock, where
        self._answers = sock.makefile("rb")

    def run(self, *words: str) -> str:
        """The answer to one command; an absent value is empty."""
        parts = [f"${len(word.encode())}\r\n{word}\r\n" for word in words]
        self._sock.sendall(f"*{len(words)}\r\n{''.join(parts)}".encode())
        line = self._answers.readline(65536).decode(errors="replace")
        if not line:
            raise _failure("connection-lost", f"{self._where}: closed without an answer")
        if line[0] == "-":
            code = "valkey-password" if line.startswith("-WRONGPASS") else "valkey-refused"
            raise _failure(code, f"{self._where}: {line[1:200].strip()}")
        if line[0] != "$":
            return line[1:].strip()
        length = int(line[1:])
        return self._answers.read(length + 2)[:-2].decode() if length >= 0 else ""


@contextlib.contextmanager
def login(access: Access, route: Route) -> Iterator[Session]:
    """A session as the connection Secret says. Raises Failure, also of what goes wrong in it."""
    connection = access.connection
    host, port = connection["host"], int(connection["port"])
    if route.name == "host":
        host, port = "localhost", access.settings.of(ValkeySettings).host_port
    where = f"{label(route)}, user {connection['username']}"
    try:
        sock = route.dial(host, port)
    except DialError as error:
        raise Failure(unreachable("valkey", route, f"{host}:{port}", str(error))) from error
    sock.settimeout(min(ANSWER_SECONDS, access.deadline.remaining()))
    with contextlib.ExitStack() as open_:
        open_.callback(sock.close)
        try:
            if authority := connection.get("ca.crt"):
                context = tls.strict(authority, "valkey")
                sock = open_.enter_context(context.wrap_socket(sock, server_hostname=host))
                assert isinstance(sock, ssl.SSLSocket)
                tls.require_unexpired(sock.getpeercert() or {}, where, "valkey")
            session = Session(sock, where)
            session.run("AUTH", connection["username"], connection["password"])
            yield session
        except TimeoutError as error:
            raise _failure("service-slow", f"{where}: no answer in time") from error
        except OSError as error:
            refusal = tls.refused(error, where, "valkey")
            raise Failure(
                refusal or finding("connection-lost", f"{where}: {error}", service="valkey")
            ) from error


def _failure(code: str, message: str) -> Failure:
    return Failure(finding(code, message, service="valkey"))
