"""Inside a running PostgreSQL: psql as the server's own user, and logins as a strict client."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.routes import DialError, Route
from learnflow_infra.services import ANSWER_SECONDS, Access
from learnflow_infra.services.postgres import errors
from learnflow_infra.services.postgres.roles import SESSION, literal
from learnflow_infra.services.postgres.settings import PROBES, PostgresSettings
from learnflow_infra.services.shared import probe_names, tls
from learnflow_infra.services.shared.unreachable import label, unreachable

POD = "postgres-0"
PORT = 5432
# https://www.postgresql.org/docs/current/protocol-message-formats.html, SSLRequest
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)
_LEFT = """\
select nspname::text from pg_namespace
where nspowner = current_user::regrole and starts_with(nspname, :prefix)"""
_PRELUDE = """\
\\set ON_ERROR_STOP on
\\set VERBOSITY verbose
\\pset tuples_only on
\\pset format unaligned
"""


def psql(access: Access, script: str) -> str:
    """What a script printed: run in the pod over the socket, where the server's own user needs no
    password. Raises Failure with what the server says."""
    command = ["psql", "--no-psqlrc", "--username=postgres", "--dbname=postgres"]
    try:
        stream = access.kube.exec(access.settings.cluster.namespace, POD, "postgres", command)
    except ApiError as error:
        raise _failure("service-unreachable", f"exec in pod {POD}: {error.message}") from error
    output = {1: b"", 2: b"", 3: b""}
    try:
        stream.send(0, f"{_PRELUDE}{SESSION}{script}\\quit\n".encode())
        while message := stream.receive(access.deadline.remaining()):
            channel, data = message
            output[channel] = (output.get(channel, b"") + data)[-65536:]
            if channel == 3:
                break
    except (TimeoutError, OSError) as error:
        raise _failure("service-slow", "psql in the pod did not end in time") from error
    finally:
        stream.close()
    if b'"Success"' not in output[3]:
        raise Failure(errors.of_psql(output[2].decode(errors="replace")))
    return output[1].decode(errors="replace")


def round_trip(access: Access, route: Route) -> None:
    """Commit a random payload in a table, read it back on another connection, drop it.

    In a schema of its own, whatever became of the application's; unlogged, so that no publication
    of all tables has it.
    """
    schema = probe_names.name(PROBES)
    payload = secrets.token_hex(32)
    with login(access, route) as session:
        session.run(f"create schema {schema} create unlogged table probe (payload text not null)")
        try:
            session.run(f"insert into {schema}.probe values (:payload)", payload=payload)
            with login(access, route) as reader:
                rows = reader.run(f"select payload from {schema}.probe")
        finally:
            session.run(f"drop schema {schema} cascade")
        found = session.run(_LEFT, prefix=PROBES)
        for left in probe_names.stale(PROBES, (name for (name,) in found)):
            session.run(f"drop schema if exists {left} cascade")
    if rows != [[payload]]:
        raise _failure(
            "round-trip-failed", f"read back {len(rows)} rows that are not the one written"
        )


@contextlib.contextmanager
def login(access: Access, route: Route) -> Iterator[Any]:
    """A session as the connection Secret says. Raises Failure, also of what goes wrong in it."""
    import pg8000.exceptions
    import pg8000.native
    import scramp  # pg8000's

    host, port, user, database, password = (
        _value(access.connection, key)
        for key in ("host", "port", "username", "database", "password")
    )
    if route.name == "host":
        host, port = "localhost", str(access.settings.of(PostgresSettings).host_port)
    where = f"{label(route)}, role {user}, database {database}"
    try:
        sock = route.dial(host, int(port))
    except DialError as error:
        found = unreachable("postgres", route, f"{host}:{port}", str(error))
        raise Failure(found) from error
    sock.settimeout(min(ANSWER_SECONDS, access.deadline.remaining()))
    with contextlib.ExitStack() as open_:
        open_.callback(sock.close)
        try:
            if access.connection.get("sslmode") != "disable":
                sock = open_.enter_context(_encrypted(sock, host, access.connection, where))
            session = pg8000.native.Connection(
                user,
                host=host,
                port=int(port),
                database=database,
                password=password,
                application_name="learnflow-infra",
                sock=sock,
                ssl_context=False,  # the socket is what it should be
            )
            sock.settimeout(access.deadline.remaining())
            try:
                yield session
            finally:
                with contextlib.suppress(Exception):
                    session.close()
        except scramp.ScramException as error:
            found = finding("postgres-password", f"{where}: {error}", service="postgres")
            raise Failure(found) from error
        except (pg8000.exceptions.Error, OSError) as error:
            found = errors.of_client(error, where)
            if found.code == "postgres-password" and not _role_exists(access, user):
                message = f"{where}: there is no such role"
                found = finding("postgres-role", message, service="postgres")
            if found.code == "postgres-read-only" and _in_recovery(access):
                found = finding("postgres-in-recovery", found.message, service="postgres")
            raise Failure(found) from error


def _encrypted(
    sock: socket.socket, host: str, connection: Mapping[str, str], where: str
) -> ssl.SSLSocket:
    """The connection as a strict client's; it is made here to see the server's certificate."""
    sock.sendall(_SSL_REQUEST)
    if sock.recv(1) != b"S":
        raise _failure("tls-missing", f"{where}: the server answers in the clear alone")
    secure = tls.strict(connection.get("ca.crt", ""), "postgres").wrap_socket(
        sock, server_hostname=host
    )
    tls.require_unexpired(secure.getpeercert() or {}, where, "postgres")
    return secure


def _role_exists(access: Access, user: str) -> bool:
    """The server lets no client tell a missing role from a wrong password."""
    query = f"select 'there' from pg_roles where rolname = {literal(user)};\n"
    return "there" in psql(access, query)


def _in_recovery(access: Access) -> bool:
    """A standby refuses writes with the same words as a database that was set so."""
    return "yes" in psql(access, "select 'yes' where pg_is_in_recovery();\n")


def _value(connection: Mapping[str, str], key: str) -> str:
    if not (found := connection.get(key)):
        raise _failure("connection-missing", f"the Secret postgres-connection has no {key}")
    if key == "port" and not found.isdecimal():
        raise _failure("connection-missing", "port in the Secret postgres-connection is no number")
    return found


def _failure(code: str, message: str) -> Failure:
    return Failure(finding(code, message, service="postgres"))
