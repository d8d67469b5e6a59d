"""PostgreSQL: one server, one database owned by one role that is no superuser."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from learnflow_infra import manifests
from learnflow_infra.failures import Failure, finding
from learnflow_infra.kube import ApiError
from learnflow_infra.services import Access, Object, postgres_errors
from learnflow_infra.services.unreachable import place, unreachable
from learnflow_infra.settings import Settings, mebibytes
from learnflow_infra.tunnel import DialError, Route

PORT = 5432
_ITERATIONS = 4096

# initdb works beside the data folder and the rename comes last, so that a broken-off start is
# done again. The builtin locale keeps indexes valid when an image brings another C library.
# No one logs in as the superuser but the server's own user over the socket: it has no password.
_START = """\
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA.new"
  initdb -D "$PGDATA.new" --username=postgres --auth-local=peer --auth-host=scram-sha-256 \\
    --data-checksums --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
  echo 'host all all all scram-sha-256' >> "$PGDATA.new/pg_hba.conf"
  mv "$PGDATA.new" "$PGDATA"
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql \\
  -c shared_buffers=%(buffers)dMB
"""


class Postgres:
    name = "postgres"
    reconcile_first = True  # no one can log in without the role

    def proof_connections(self, settings: Settings) -> int:
        return 2

    def image(self, settings: Settings) -> str:
        return settings.postgres.image

    def pods(self, settings: Settings) -> Sequence[str]:
        return ["postgres-0"]

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        return {settings.postgres.host_port: ("postgres-0", PORT)}

    def objects(self, settings: Settings) -> list[Object]:
        return [
            manifests.service(settings, "postgres", "postgres", {"postgres": PORT}),
            manifests.service(
                settings, "postgres-nodes", "postgres", {"postgres": PORT}, headless=True
            ),
            manifests.stateful_set(
                settings,
                "postgres",
                governing_service="postgres-nodes",
                replicas=1,
                user=999,
                container=self._container(settings),
                volumes=[
                    {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}},
                    {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
                ],
                volume_size=settings.postgres.volume,
                storage_class=settings.postgres.storage_class,
            ),
        ]

    def _container(self, settings: Settings) -> Object:
        postgres = settings.postgres
        return {
            "image": postgres.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "-c", _START % {"buffers": mebibytes(postgres.memory) // 4}],
            "env": [{"name": "PGDATA", "value": "/var/lib/postgresql/data/pgdata"}],
            "ports": [{"name": "postgres", "containerPort": PORT}],
            "resources": {
                "requests": {"cpu": postgres.cpu, "memory": postgres.memory},
                "limits": {"memory": postgres.memory},
            },
            "volumeMounts": [
                {"name": "data", "mountPath": "/var/lib/postgresql/data"},
                {"name": "run", "mountPath": "/var/run/postgresql"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
            **manifests.startup(f"{manifests.port_open(PORT)} && pg_isready -q -h localhost"),
        }

    def credentials(self, settings: Settings) -> Object:
        values = {"password": secrets.token_urlsafe(24)}
        return manifests.secret(settings, "postgres", "postgres-credentials", values, data=True)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        return {}

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        postgres = settings.postgres
        host = f"postgres.{settings.cluster.namespace}.svc"
        user, password, database = postgres.user, credentials["password"], postgres.database
        login = f"{quote(user, safe='')}:{quote(password, safe='')}"
        connection = manifests.secret(
            settings,
            "postgres",
            "postgres-connection",
            {
                "type": "postgresql",
                "provider": "learnflow-infra",
                "host": host,
                "port": str(PORT),
                "username": user,
                "password": password,
                "database": database,
                "dbname": database,
                "uri": f"postgresql://{login}@{host}:{PORT}/{database}",
                "jdbc-uri": f"jdbc:postgresql://{host}:{PORT}/{database}"
                f"?user={quote(user, safe='')}&password={quote(password, safe='')}",
                "pgpass": f"{host}:{PORT}:{database}:{user}:{password}",
            },
            kind="servicebinding.io/postgresql",
        )
        return [connection]

    def client_hint(self, settings: Settings) -> Mapping[str, str]:
        postgres = settings.postgres
        return {
            "host": "localhost",
            "port": str(postgres.host_port),
            "database": postgres.database,
            "user": postgres.user,
        }

    # ---- inside the running service

    def load_client(self) -> None:
        import pg8000.native  # noqa: F401

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Make the role, its password and the database so, as the server's own user over the
        socket. Says what it changed."""
        postgres = access.settings.postgres
        verifier = scram_verifier(access.connection["password"])
        # \\gexec runs what a query returned: nothing where all is as it should be.
        script = f"""\
\\set ON_ERROR_STOP on
\\set VERBOSITY verbose
\\pset tuples_only on
\\pset format unaligned
set log_statement = 'none';
set log_min_error_statement = 'panic';
select format('create role %I', {_literal(postgres.user)})
  where not exists (select from pg_roles where rolname = {_literal(postgres.user)}) \\gexec
select format('alter role %I with login nosuperuser nocreatedb nocreaterole noreplication '
  'nobypassrls password %L', rolname, {_literal(verifier)})
  from pg_authid where rolname = {_literal(postgres.user)}
  and (rolpassword is distinct from {_literal(verifier)} or not rolcanlogin or rolsuper
    or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls) \\gexec
select format('create database %I owner %I', {_literal(postgres.database)},
  {_literal(postgres.user)})
  where not exists (select from pg_database where datname = {_literal(postgres.database)}) \\gexec
select format('alter database %I owner to %I', datname, {_literal(postgres.user)})
  from pg_database where datname = {_literal(postgres.database)}
  and datdba <> {_literal(postgres.user)}::regrole \\gexec
\\quit
"""
        output = self._psql(access, script)
        said = {"CREATE ROLE": "role", "ALTER ROLE": "role", "CREATE DATABASE": "database"}
        names = {"role": postgres.user, "database": postgres.database}
        changed = [said[line] for line in output.splitlines() if line in said]
        return [f"{what} {names[what]}" for what in dict.fromkeys(changed)]

    def _psql(self, access: Access, script: str) -> str:
        pod = self.pods(access.settings)[0]
        command = ["psql", "--no-psqlrc", "--username=postgres", "--dbname=postgres"]
        try:
            stream = access.kube.exec(access.settings.cluster.namespace, pod, self.name, command)
        except ApiError as error:
            raise _failure("service-unreachable", f"exec in pod {pod}: {error.message}") from error
        output = {1: b"", 2: b"", 3: b""}
        try:
            stream.send(0, script.encode())
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
            raise Failure(postgres_errors.of_psql(output[2].decode(errors="replace")))
        return output[1].decode(errors="replace")

    def prove(self, access: Access, route: Route) -> None:
        """Commit a random payload in a table, read it back on another connection, drop it."""
        table = f"learnflow_probe_{secrets.token_hex(8)}"
        payload = secrets.token_hex(32)
        with self._login(access, route) as session:
            session.run(f"create table {table} (payload text not null)")
            try:
                session.run(f"insert into {table} values (:payload)", payload=payload)
                with self._login(access, route) as reader:
                    rows = reader.run(f"select payload from {table}")
            finally:
                session.run(f"drop table {table}")
        if rows != [[payload]]:
            raise _failure(
                "round-trip-failed", f"read back {len(rows)} rows that are not the one written"
            )

    @contextlib.contextmanager
    def _login(self, access: Access, route: Route) -> Iterator[Any]:
        import pg8000.exceptions
        import pg8000.native

        if route.name == "host":
            host, port = "localhost", access.settings.postgres.host_port
        else:
            host, port = access.connection["host"], int(access.connection["port"])
        user, database = access.connection["username"], access.connection["database"]
        where = f"{place(route)}, role {user}, database {database}"
        try:
            sock = route.dial(host, port)
        except DialError as error:
            found = unreachable(self.name, route, f"{host}:{port}", str(error))
            raise Failure(found) from error
        sock.settimeout(access.deadline.remaining())
        try:
            session = pg8000.native.Connection(
                user,
                host=host,
                port=port,
                database=database,
                password=access.connection["password"],
                application_name="learnflow-infra",
                sock=sock,
            )
            try:
                yield session
            finally:
                with contextlib.suppress(Exception):
                    session.close()
        except (pg8000.exceptions.Error, OSError) as error:
            found = postgres_errors.of_client(error, where)
            if found.code == "postgres-password" and not self._role_exists(access, user):
                found = finding(
                    "postgres-role", f"{where}: there is no such role", service="postgres"
                )
            raise Failure(found) from error
        finally:
            sock.close()

    def _role_exists(self, access: Access, user: str) -> bool:
        """The server lets no client tell a missing role from a wrong password."""
        query = f"select 'there' from pg_roles where rolname = {_literal(user)};\n\\quit\n"
        return "there" in self._psql(access, query)


def _failure(code: str, message: str) -> Failure:
    return Failure(finding(code, message, service="postgres"))


def _literal(text: str) -> str:
    """A string constant of standard SQL, where a backslash means itself."""
    return "'" + text.replace("'", "''") + "'"


def scram_verifier(password: str) -> str:
    """The stored form of a SCRAM-SHA-256 password (RFC 5803), so that no server sees the password.

    The salt follows from the password, which is random itself: the same password always has the
    same verifier, and a second run finds nothing to change.
    """
    secret = password.encode()
    salt = hashlib.sha256(b"learnflow-infra salt" + secret).digest()[:16]
    salted = hashlib.pbkdf2_hmac("sha256", secret, salt, _ITERATIONS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    salt64, stored64, server64 = (base64.b64encode(x).decode() for x in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt64}${stored64}:{server64}"
