"""PostgreSQL: one server, one database owned by one role that is no superuser."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services import Access, password_key
from learnflow_infra.services.postgres import certificate, data_age, roles
from learnflow_infra.services.postgres.causes import CAUSES
from learnflow_infra.services.postgres.client import POD, PORT, login, psql, round_trip
from learnflow_infra.services.postgres.image import RECIPE
from learnflow_infra.services.postgres.settings import PostgresSettings
from learnflow_infra.services.shared import rotation
from learnflow_infra.services.shared.authority import volume
from learnflow_infra.settings import Settings, mebibytes

_SOCKETS = "/var/run/postgresql"
_ITERATIONS = 4096

# initdb works beside the data folder and the rename comes last, so that a broken-off start is
# done again. The rename replaces nothing but an empty folder. Without the sync a crash could undo
# it, and the next start would remove what the server had written since.
# The builtin locale keeps indexes valid when an image brings another C library.
# The rules of who may log in are written at each start: no volume brings others.
_START = """\
set -e
cat > /var/run/postgresql/pg_hba.conf <<'RULES'
local all postgres peer
host all postgres all reject
%(connections)s all all all scram-sha-256
RULES
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -n "$(ls -A "$PGDATA" 2> /dev/null)" ]; then
    echo "$PGDATA has files but no PG_VERSION: not a whole database. Nothing was changed." >&2
    exit 1
  fi
  rm -rf "$PGDATA.new"
  initdb -D "$PGDATA.new" --username=postgres --auth-local=peer --auth-host=scram-sha-256 \\
    --data-checksums --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
  mv -T "$PGDATA.new" "$PGDATA"
  sync "${PGDATA%%/*}"
fi
exec postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql \\
  -c hba_file=/var/run/postgresql/pg_hba.conf -c shared_buffers=%(buffers)dMB%(encryption)s
"""
_ENCRYPTION = """ \\
  -c ssl=on -c ssl_cert_file=%(folder)s/tls.crt -c ssl_key_file=%(folder)s/tls.key \\
  -c ssl_ciphers=ECDHE+AESGCM:ECDHE+CHACHA20"""


class Postgres:
    name = "postgres"
    settings = PostgresSettings
    recipe = RECIPE
    causes = CAUSES
    skill = Path(__file__).with_name("skill")

    def proof_connections(self, settings: Settings) -> int:
        return 2

    def pods(self, settings: Settings) -> Sequence[str]:
        return [POD]

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        return {settings.of(PostgresSettings).host_port: (POD, PORT)}

    def objects(self, settings: Settings) -> list[Object]:
        return [
            manifests.network_policy(settings, "postgres", clients=[PORT]),
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
                    *([volume("postgres")] if settings.security.encryption else []),
                ],
                volume_size=settings.of(PostgresSettings).volume,
                storage_class=settings.of(PostgresSettings).storage_class,
            ),
        ]

    def _container(self, settings: Settings) -> Object:
        postgres, encryption = settings.of(PostgresSettings), settings.security.encryption
        tls = {"name": "tls", "mountPath": certificate.FOLDER, "readOnly": True}
        start = _START % {
            "connections": "hostssl" if encryption else "host",
            "buffers": mebibytes(postgres.memory) // 4,
            "encryption": _ENCRYPTION % {"folder": tls["mountPath"]} if encryption else "",
        }
        return {
            "image": postgres.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "-c", start],
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
                *([tls] if encryption else []),
            ],
            **manifests.probes(f"{manifests.port_open(PORT)} && pg_isready -q -h {_SOCKETS}"),
        }

    def credentials(self, settings: Settings) -> Object:
        keys = [
            "password",
            *(password_key(user.name) for user in settings.of(PostgresSettings).users),
        ]
        values = {key: secrets.token_urlsafe(24) for key in keys}
        return manifests.secret(settings, "postgres", "postgres-credentials", values, data=True)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        return {}

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        owner, *others = _passwords(settings, credentials).items()
        name = "postgres-connection"
        return [
            _connection(settings, name, *owner, authority),
            *(
                _connection(settings, f"{name}-{user.replace('_', '-')}", user, password, authority)
                for user, password in others
            ),
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

    # ---- inside the running service

    def load_client(self) -> None:
        import pg8000.native  # noqa: F401

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Make roles, privileges and the database so, and let the server present its certificate.
        Says what it changed."""
        settings = access.settings
        passwords = _passwords(settings, access.secrets.credentials)
        verifiers = {name: scram_verifier(password) for name, password in passwords.items()}
        script = data_age.SCRIPT + roles.script(settings.of(PostgresSettings), verifiers)
        wanted = rotation.wanted(access, "postgres") if settings.security.encryption else ""
        output = psql(access, (certificate.script(wanted) if wanted else "") + script)
        data_age.require_new(access, output)
        if wanted and not certificate.is_read(output):
            certificate.wait_for_file(access, wanted)
        return roles.changes(output)

    def log_in(self, access: Access, route: Route) -> None:
        with login(access, route):
            pass

    def prove(self, access: Access, route: Route) -> None:
        round_trip(access, route)


def _passwords(settings: Settings, credentials: Mapping[str, str]) -> dict[str, str]:
    """Every role's password."""
    postgres = settings.of(PostgresSettings)
    declared = {user.name: credentials[password_key(user.name)] for user in postgres.users}
    return {postgres.user: credentials["password"], **declared}


def _connection(settings: Settings, name: str, user: str, password: str, authority: str) -> Object:
    host, database = (
        f"postgres.{settings.cluster.namespace}.svc",
        settings.of(PostgresSettings).database,
    )
    mode = "verify-full" if authority else "disable"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    values = {
        "type": "postgresql",
        "provider": "learnflow-infra",
        "host": host,
        "port": str(PORT),
        "username": user,
        "password": password,
        "database": database,
        "dbname": database,
        "sslmode": mode,
        "uri": f"postgresql://{login}@{host}:{PORT}/{database}?sslmode={mode}",
        "jdbc-uri": f"jdbc:postgresql://{host}:{PORT}/{database}"
        f"?user={quote(user, safe='')}&password={quote(password, safe='')}&sslmode={mode}",
        "pgpass": f"{host}:{PORT}:{database}:{user}:{password}",
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
