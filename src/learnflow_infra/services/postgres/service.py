"""PostgreSQL: one server, one database owned by one role that is no superuser."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services import Access, Form, password_key
from learnflow_infra.services.postgres import (
    certificate,
    data_age,
    databases,
    errors,
    forms,
    initialisation,
    objects,
    parameters,
    roles,
)
from learnflow_infra.services.postgres.causes import CAUSES
from learnflow_infra.services.postgres.client import (
    DATA,
    POD,
    PORT,
    login,
    psql,
    round_trip,
    run,
)
from learnflow_infra.services.postgres.image import RECIPE
from learnflow_infra.services.postgres.settings import PostgresSettings
from learnflow_infra.services.postgres.sql import changes
from learnflow_infra.services.shared import rotation
from learnflow_infra.settings import Settings

_ITERATIONS = 4096


class Postgres:
    name = "postgres"
    settings = PostgresSettings
    recipe = RECIPE
    causes = CAUSES
    skill = Path(__file__).with_name("skill")
    keeps = ("database", "extension")
    read_at_start = ()

    def proof_connections(self, settings: Settings) -> int:
        return 2

    def pods(self, settings: Settings) -> Sequence[str]:
        return [POD]

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        return {settings.of(PostgresSettings).host_port: (POD, PORT)}

    def objects(self, settings: Settings) -> list[Object]:
        return objects.objects(settings)

    def credentials(self, settings: Settings) -> Object:
        keys = _password_keys(settings.of(PostgresSettings)).values()
        values = {key: secrets.token_urlsafe(24) for key in keys}
        return manifests.secret(settings, "postgres", "postgres-credentials", values, data=True)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        return {}

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        postgres = settings.of(PostgresSettings)
        keys = _password_keys(postgres)
        return [
            _connection(settings, name, role, credentials[keys[role]], database, authority)
            for name, (role, database) in postgres.connections.items()
        ]

    def client_hint(self, settings: Settings, authority: str) -> Mapping[str, str]:
        postgres = settings.of(PostgresSettings)
        hint = {
            "host": "localhost",
            "port": str(postgres.host_port),
            "database": postgres.database,
            "user": postgres.user,
        }
        if not authority:
            return hint | {"sslmode": "disable"}
        return hint | {"sslmode": "verify-full", "sslrootcert": authority}

    def forms(
        self, settings: Settings, connection: Mapping[str, str], authority: str, *, host: bool
    ) -> Mapping[str, Form]:
        postgres = settings.of(PostgresSettings)
        on_host = {"host": "localhost", "port": str(postgres.host_port)} if host else {}
        return forms.forms({**connection, **on_host}, authority)

    def declared(self, settings: Settings) -> Sequence[str]:
        postgres = settings.of(PostgresSettings)
        return [
            *(f"database {each.name}" for each in postgres.every_database),
            *(
                f"extension {x} of {each.name}"
                for each in postgres.every_database
                for x in each.extensions
            ),
            *(f"role {name}" for name in postgres.roles),
            *(f"parameter {key}" for key, _ in postgres.parameters),
        ]

    def tools(self, settings: Settings) -> Mapping[str, Sequence[str]]:
        return {"psql": ["psql"]}

    def require_possible(self, kube: Kube, settings: Settings, deadline: Deadline) -> None:
        """Look for the files of `init`, and have the server, where it runs, look at parameters."""
        initialisation.require_files(settings)
        postgres = settings.of(PostgresSettings)
        if not postgres.parameters:
            return
        command = parameters.tried_out(dict(postgres.parameters), DATA)
        try:
            done = run(kube, settings, deadline, command, "")
        except Failure as failure:
            if failure.of_cluster:
                raise
            return  # what does not run says nothing
        if not done.ok:
            raise Failure(errors.of_psql(done.stderr))

    # ---- inside the running service

    def load_client(self) -> None:
        import pg8000.native  # noqa: F401

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Make parameters, roles, databases and the rights in them so, and let the server present
        its certificate. Says what it changed."""
        settings, postgres = access.settings, access.settings.of(PostgresSettings)
        verifiers = {
            role: scram_verifier(access.secrets.credentials[key])
            for role, key in _password_keys(postgres).items()
        }
        wanted = rotation.wanted(access, "postgres") if settings.security.encryption else ""
        script = (certificate.script(wanted) if wanted else "") + data_age.SCRIPT
        output = psql(access, script + _declared(postgres, verifiers))
        data_age.require_new(access, output)
        if wanted and not certificate.is_read(output):
            certificate.wait_for_file(access, wanted)
        changed = changes(output)
        for database in databases.pending(output, postgres.every_database):
            initialisation.run_once(access, database)
            changed.append(f"init of {database.name}")
        if names := roles.databases_left(output):
            changed += changes(psql(access, roles.removal(postgres, names)))
        return list(dict.fromkeys(changed))

    def log_in(self, access: Access, route: Route) -> None:
        with login(access, route):
            pass

    def prove(self, access: Access, route: Route) -> None:
        round_trip(access, route)


def _declared(postgres: PostgresSettings, verifiers: Mapping[str, str]) -> str:
    """All that the settings declare inside the server, as one script."""
    every = postgres.every_database
    return "".join(
        [
            databases.possible(every),
            parameters.script(dict(postgres.parameters)),
            roles.script(postgres, verifiers),
            *map(databases.made, every),
            databases.closed(every),
            *(databases.inside(each, bool(postgres.users)) for each in every),
            roles.left(postgres),
        ]
    )


def _password_keys(postgres: PostgresSettings) -> dict[str, str]:
    """Where the credentials keep the password of every role."""
    return {name: password_key(name) for name in postgres.roles} | {postgres.user: "password"}


def _connection(
    settings: Settings, name: str, user: str, password: str, database: str, authority: str
) -> Object:
    host = f"postgres.{settings.cluster.namespace}.svc"
    mode = "verify-full" if authority else "disable"
    login = {
        **{"host": host, "port": str(PORT), "database": database},
        **{"username": user, "password": password},
    }
    values = {
        "type": "postgresql",
        "provider": "learnflow-infra",
        **login,
        "dbname": database,
        "sslmode": mode,
        "uri": forms.uri(login, {"sslmode": mode}),
        "jdbc-uri": forms.jdbc(login, {"sslmode": mode}),
        "pgpass": forms.pgpass(login),
        # https://www.postgresql.org/docs/current/libpq-pgservice.html
        "pg_service.conf": f"[learnflow]\nhost={host}\nport={PORT}\ndbname={database}\n"
        f"user={user}\npassword={password}\nsslmode={mode}\n",
    }
    if authority:
        values["ca.crt"] = authority
    kind = "servicebinding.io/postgresql"
    return manifests.secret(settings, "postgres", name, values, kind=kind)


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
