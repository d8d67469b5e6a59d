"""Inside a running PostgreSQL: psql as the server's own user, and logins as a strict client."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.routes import DialError, Route
from learnflow_infra.services import ANSWER_SECONDS, Access
from learnflow_infra.services.postgres import errors
from learnflow_infra.services.postgres.settings import PROBES, PostgresSettings
from learnflow_infra.services.postgres.sql import SESSION, literal
from learnflow_infra.services.shared import probe_names, tls
from learnflow_infra.services.shared.unreachable import label, unreachable
from learnflow_infra.settings import Settings

POD = "postgres-0"
PORT = 5432
DATA = "/var/lib/postgresql/data/pgdata"
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
    text = f"{_PRELUDE}{SESSION}{script}\\quit\n"
    done = run(access.kube, access.settings, access.deadline, command, text)
    if not done.ok:
        raise Failure(errors.of_psql(done.stderr))
    return done.stdout


class Done(NamedTuple):
    """What a command in the server's pod said."""

    ok: bool
    stdout: str
    stderr: str


def run(kube: Kube, settings: Settings, deadline: Deadline, argv: list[str], stdin: str) -> Done:
    """Run a command in the server's container. Raises Failure(service-unreachable, service-slow)
    where it cannot be run or does not end."""
    try:
        stream = kube.exec(settings.cluster.namespace, POD, "postgres", argv)
    except ApiError as error:
        raise _failure("service-unreachable", f"exec in pod {POD}: {error.message}") from error
    output = {1: b"", 2: b"", 3: b""}
    try:
        if stdin:
            stream.send(0, stdin.encode())
        while message := stream.receive(deadline.remaining()):
            channel, data = message
            output[channel] = (output.get(channel, b"") + data)[-65536:]
            if channel == 3:
                break
    except (TimeoutError, OSError) as error:
        raise _failure("service-slow", f"{argv[0]} in the pod did not end in time") from error
    finally:
        stream.close()
    said = (output[channel].decode(errors="replace") for channel in (1, 2))
    return Done(b'"Success"' in output[3], *said)


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
