"""PostgreSQL's objects: a StatefulSet of one server, and what it needs."""

from __future__ import annotations

from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.services.postgres import certificate, parameters
from learnflow_infra.services.postgres.client import DATA, PORT
from learnflow_infra.services.postgres.settings import PostgresSettings
from learnflow_infra.services.shared.authority import volume
from learnflow_infra.settings import Settings, mebibytes

_USER = 999
_SOCKETS = "/var/run/postgresql"

# initdb works beside the data folder and the rename comes last, so that a broken-off start is
# done again. The rename replaces nothing but an empty folder. Without the sync a crash could undo
# it, and the next start would remove what the server had written since.
# The builtin locale keeps indexes valid when an image brings another C library.
# The rules of who may log in are written at each start: no volume brings others.
_START = """\
set -e
%(writable)scat > /var/run/postgresql/pg_hba.conf <<'RULES'
local all postgres peer
host all postgres all reject
%(connections)s all all all scram-sha-256
%(connections)s replication all all scram-sha-256
RULES
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  if [ -n "$(ls -A "$PGDATA" 2> /dev/null)" ]; then
    echo "$PGDATA has files but no PG_VERSION: not a whole database. Nothing was changed." >&2
    exit 1
  fi
  version=$(initdb --version)
  case ${version##* } in
    1[7-9]*|[2-9][0-9]*) ;;
    *) echo "FATAL: $version is too old a version: 17 is the first that can be used" >&2; exit 1 ;;
  esac
  rm -rf "$PGDATA.new"
  initdb -D "$PGDATA.new" --username=postgres --auth-local=peer --auth-host=scram-sha-256 \\
    --data-checksums --encoding=UTF8 --locale-provider=builtin --builtin-locale=C.UTF-8 --locale=C
  mv -T "$PGDATA.new" "$PGDATA"
  sync "${PGDATA%%/*}"
fi
# A power cut leaves locks behind, whose number may be another process's by now: this container's
# processes end with it, so that a server of before runs no more.
for lock in "$PGDATA/postmaster.pid" %(sockets)s/.s.PGSQL.*.lock; do
  holder=$(head -n 1 "$lock" 2> /dev/null) || continue
  [ "$(cat "/proc/$holder/comm" 2> /dev/null)" = postgres ] || rm -f "$lock"
done
exec postgres -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql \\
  -c hba_file=/var/run/postgresql/pg_hba.conf -c shared_buffers=%(buffers)dMB%(encryption)s \\
 %(parameters)s
"""
_ENCRYPTION = """ \\
  -c ssl=on -c ssl_cert_file=%(folder)s/tls.crt -c ssl_key_file=%(folder)s/tls.key \\
  -c ssl_ciphers=ECDHE+AESGCM:ECDHE+CHACHA20"""


def objects(settings: Settings) -> list[Object]:
    """Everything but Secrets, in the order to apply."""
    memory = mebibytes(settings.of(PostgresSettings).memory)
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
            user=_USER,
            container=_container(settings),
            volumes=[
                {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}},
                {"name": "tmp", "emptyDir": {}},
                {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{memory // 2}Mi"}},
                *([volume("postgres")] if settings.security.encryption else []),
            ],
            volume_size=settings.of(PostgresSettings).volume,
            storage_class=settings.of(PostgresSettings).storage_class,
        ),
        manifests.client(
            settings,
            "postgres",
            image=settings.of(PostgresSettings).image,
            user=_USER,
            memory="128Mi",
            environment={
                "PGSERVICEFILE": f"{manifests.CONNECTION_FOLDER}/pg_service.conf",
                "PGSERVICE": "learnflow",
                "PGSSLROOTCERT": f"{manifests.CONNECTION_FOLDER}/ca.crt",
            },
        ),
    ]


def _container(settings: Settings) -> Object:
    postgres, encryption = settings.of(PostgresSettings), settings.security.encryption
    tls = {"name": "tls", "mountPath": certificate.FOLDER, "readOnly": True}
    start = _START % {
        "writable": manifests.require_writable('"${PGDATA%/*}"', '"$PGDATA"'),
        "connections": "hostssl" if encryption else "host",
        "buffers": mebibytes(postgres.memory) // 4,
        "encryption": _ENCRYPTION % {"folder": tls["mountPath"]} if encryption else "",
        "sockets": _SOCKETS,
        "parameters": parameters.quoted(parameters.on_command_line(dict(postgres.parameters))),
    }
    return {
        "image": postgres.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", start],
        "env": [{"name": "PGDATA", "value": DATA}],
        "ports": [{"name": "postgres", "containerPort": PORT}],
        "resources": {
            "requests": {"cpu": postgres.cpu, "memory": postgres.memory},
            "limits": {"memory": postgres.memory},
        },
        "volumeMounts": [
            {"name": "data", "mountPath": "/var/lib/postgresql/data"},
            {"name": "run", "mountPath": "/var/run/postgresql"},
            {"name": "tmp", "mountPath": "/tmp"},
            {"name": "shm", "mountPath": "/dev/shm"},
            *([tls] if encryption else []),
        ],
        **manifests.probes(f"{manifests.port_open(PORT)} && pg_isready -q -h {_SOCKETS}"),
    }
