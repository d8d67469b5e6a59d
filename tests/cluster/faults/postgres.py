"""PostgreSQL's own troubles: a Ready pod is no proof."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from learnflow_infra.cluster.local import layout

from ..machine import eventually
from .harness import Stand, fault
from .volumes import provisioned, tiny

DATA = '"$PGDATA"'
RULES = "/var/run/postgresql/pg_hba.conf"


def psql(stand: Stand, *statements: str) -> str:
    """As the superuser, in the database that no fault breaks."""
    commands = [word for each in statements for word in ("-c", each)]
    return stand.kubectl(
        *("exec", "postgres-0", "--", "psql", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-tA"),
        *commands,
    )


def restart(stand: Stand, script: str) -> None:
    """Change something in the data folder and have a new pod find it so."""
    stand.exec("postgres-0", script)
    before = stand.uid("postgres-0")
    stand.kubectl("delete", "pod", "postgres-0", "--wait=false")
    eventually(lambda: stand.uid("postgres-0") not in ("", before), 60)


def at_rest(stand: Stand) -> Path:
    """The data folder of a server that was ended: a running one would write it again."""
    stand.kubectl("scale", "statefulset/postgres", "--replicas=0")
    eventually(lambda: not stand.uid("postgres-0"), 90)
    (claim,) = stand.items("persistentvolumeclaims")
    return Path(layout.VOLUMES, claim["spec"]["volumeName"], "pgdata")


def deployed(stand: Stand) -> None:
    answer = stand.person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout


def started_otherwise(stand: Stand, old: str, new: str) -> None:
    """Have somebody's other command line start the server."""
    shown = stand.kubectl("get", "statefulset", "postgres", "-o", "json")
    (container,) = json.loads(shown)["spec"]["template"]["spec"]["containers"]
    *shell, script = container["command"]
    assert old in script
    command = [*shell, script.replace(old, new)]
    change = [
        {"op": "replace", "path": "/spec/template/spec/containers/0/command", "value": command}
    ]
    stand.kubectl("patch", "statefulset", "postgres", "--type=json", "-p", json.dumps(change))
    stand.kubectl("rollout", "status", "statefulset/postgres", "--timeout=60s")


@fault("a server that somebody starts without TLS", "verify postgres", "tls-missing")
def without_tls(stand: Stand) -> Iterator[None]:
    started_otherwise(stand, "-c ssl=on", "-c ssl=off")
    yield


@fault("a server that speaks old versions of TLS alone", "verify postgres", "tls-refused")
def old_tls(stand: Stand) -> Iterator[None]:
    old = "-c ssl_min_protocol_version=TLSv1 -c ssl_max_protocol_version=TLSv1.1"
    started_otherwise(stand, "-c ssl=on", f"-c ssl=on {old}")
    yield


@fault(
    "a password that was changed in the database",
    "verify postgres",
    "postgres-password",
    telling=True,
    says="role learnflow",
)
def password(stand: Stand) -> Iterator[None]:
    psql(stand, "alter role learnflow password 'another'")
    yield


@fault("a role that may not log in", "verify postgres", "postgres-role", says="role learnflow")
def no_login(stand: Stand) -> Iterator[None]:
    psql(stand, "alter role learnflow nologin")
    yield


@fault("a role that is gone", "verify postgres", "postgres-role", says="no such role")
def no_role(stand: Stand) -> Iterator[None]:
    psql(stand, "alter role learnflow rename to moved")
    yield


@fault(
    "a role whose connections are used up",
    "verify postgres",
    "postgres-connections-exhausted",
)
def role_limit(stand: Stand) -> Iterator[None]:
    psql(stand, "alter role learnflow connection limit 0")
    yield
    psql(stand, "alter role learnflow connection limit -1")


@fault(
    "a database whose connections are used up",
    "verify postgres",
    "postgres-connections-exhausted",
)
def database_limit(stand: Stand) -> Iterator[None]:
    psql(stand, "alter database learnflow connection limit 0")
    yield
    psql(stand, "alter database learnflow connection limit -1")


@fault("a database that takes no writes", "verify postgres", "postgres-read-only", telling=True)
def read_only(stand: Stand) -> Iterator[None]:
    psql(stand, "alter database learnflow set default_transaction_read_only = on")
    yield
    psql(stand, "alter database learnflow reset default_transaction_read_only")


@fault("a database of another name", "verify postgres", "postgres-database-missing")
def renamed(stand: Stand) -> Iterator[None]:
    leave = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'"
    psql(stand, leave.format("learnflow"), "alter database learnflow rename to moved")
    yield
    psql(stand, leave.format("moved"), "alter database moved rename to learnflow")


@fault("a line of pg_hba.conf that refuses", "verify postgres", "postgres-access-refused")
def hba(stand: Stand) -> Iterator[None]:
    stand.exec("postgres-0", f'sed -i "1i host all learnflow all reject" {RULES}')
    psql(stand, "select pg_reload_conf()")
    yield
    stand.exec("postgres-0", f"sed -i 1d {RULES}")
    psql(stand, "select pg_reload_conf()")


@fault("a server that is still recovering", "verify postgres", "postgres-starting", alone=True)
def recovering(stand: Stand) -> Iterator[None]:
    stand.alter_container(startupProbe=None, readinessProbe=None)
    deployed(stand)
    restart(
        stand, f"touch {DATA}/standby.signal; echo hot_standby=off >> {DATA}/postgresql.auto.conf"
    )
    stand.kubectl("wait", "pod/postgres-0", "--for=condition=Ready", "--timeout=60s")
    accepts = "until (true 3<>/dev/tcp/localhost/5432) 2>/dev/null; do sleep 0.1; done"
    stand.exec("postgres-0", accepts)
    yield
    restart(stand, f"rm {DATA}/standby.signal; sed -i /hot_standby/d {DATA}/postgresql.auto.conf")


TRIGGER = """\
create function refuse() returns event_trigger language plpgsql security definer as
  $$ begin {} end $$;
create event trigger refuse on ddl_command_start execute function refuse();"""


def triggered(stand: Stand, body: str) -> Iterator[None]:
    """What a new table in the application's database sets off."""
    statement = TRIGGER.format(body)
    run = ("exec", "postgres-0", "--", "psql", "-U", "postgres", "-d", "learnflow", "-c")
    stand.kubectl(*run, statement)
    yield
    stand.kubectl(*run, "drop event trigger refuse; drop function refuse()")


@fault(
    "a database that refuses new tables", "verify postgres", "round-trip-failed", says="not here"
)
def refuses_tables(stand: Stand) -> Iterator[None]:
    yield from triggered(stand, "raise exception 'not here';")


@fault("a session that ends in the middle", "verify postgres", "connection-lost")
def session_ends(stand: Stand) -> Iterator[None]:
    # Only a session in the cluster: the server ends all others with it, and says so to them.
    kill = "copy (select 1) to program 'kill -9 $PPID';"
    within = "inet_client_addr() not in ('127.0.0.1', '::1')"
    yield from triggered(stand, f"if {within} then {kill} end if;")


@fault("a superuser's database that takes no sessions", "up postgres", "reconcile-failed")
def closed(stand: Stand) -> Iterator[None]:
    deployed(stand)
    stand.kubectl(
        *("exec", "postgres-0", "--", "psql", "-U", "postgres", "-d", "template1", "-c"),
        "alter database postgres allow_connections false",
    )
    yield
    stand.kubectl(
        *("exec", "postgres-0", "--", "psql", "-U", "postgres", "-d", "template1", "-c"),
        "alter database postgres allow_connections true",
    )


@fault("a standby that was never promoted", "verify postgres", "postgres-in-recovery")
def standby(stand: Stand) -> Iterator[None]:
    restart(stand, f"touch {DATA}/standby.signal")
    stand.kubectl("wait", "pod/postgres-0", "--for=condition=Ready", "--timeout=60s")
    yield
    psql(stand, "select pg_promote()")


@fault(
    "a data folder of another major version",
    "up postgres",
    "postgres-version",
    sign="CrashLoopBackOff",
)
def version(stand: Stand) -> Iterator[None]:
    deployed(stand)
    file = at_rest(stand) / "PG_VERSION"
    before = file.read_text()
    file.write_text("13\n")
    yield
    file.write_text(before)


@fault(
    "a data folder that lost its version",
    "up postgres",
    "postgres-corrupted",
    sign="CrashLoopBackOff",
)
def version_lost(stand: Stand) -> Iterator[None]:
    deployed(stand)
    file = at_rest(stand) / "PG_VERSION"
    aside = file.rename(file.with_name("aside"))
    yield
    aside.rename(file)


@fault(
    "a control file that is damaged", "up postgres", "postgres-corrupted", sign="CrashLoopBackOff"
)
def control_file(stand: Stand) -> Iterator[None]:
    deployed(stand)
    # All but the versions that it begins with, by which it would be another server's.
    file = at_rest(stand) / "global/pg_control"
    before = file.read_bytes()
    file.write_bytes(before[:16] + os.urandom(8192 - 16))
    yield
    file.write_bytes(before)


@fault("a table of the catalog that is damaged", "up postgres", "postgres-corrupted")
def catalog(stand: Stand) -> Iterator[None]:
    deployed(stand)
    oid = psql(stand, "select oid from pg_database where datname = 'learnflow'").strip()
    file = psql(stand, "select pg_relation_filenode('pg_class')").strip()
    table = at_rest(stand) / f"base/{oid}/{file}"
    before = table.read_bytes()
    table.write_bytes(os.urandom(16384))
    yield
    table.write_bytes(before)


@fault("a server's volume that ran full", "verify postgres", "postgres-disk-full", alone=True)
def disk_full(stand: Stand) -> Iterator[None]:
    with provisioned(stand) as folder, tiny(folder, "128m"):
        deployed(stand)
        stand.exec("postgres-0", f"dd if=/dev/zero of={DATA}/filler bs=1M || true")
        yield
        stand.exec("postgres-0", f"rm {DATA}/filler")


@fault(
    "a parameter that the server does not know",
    "up postgres",
    "postgres-parameter-refused",
    says="work_memory",
)
def unknown_parameter(stand: Stand) -> Iterator[None]:
    deployed(stand)
    stand.settings('[postgres]\nparameters = { work_memory = "8MB" }\n')
    yield


@fault(
    "a parameter that a new server does not start with",
    "up postgres",
    "postgres-parameter-refused",
    sign="CrashLoopBackOff",
    says="max_wal_senders",
)
def unfit_parameters(stand: Stand) -> Iterator[None]:
    stand.settings('[postgres]\nparameters = { wal_level = "minimal" }\n')
    yield


@fault(
    "a database that somebody renamed, to one who deploys",
    "up postgres",
    "postgres-database-renamed",
    says="database learnflow was renamed to moved",
)
def renamed_before(stand: Stand) -> Iterator[None]:
    deployed(stand)
    leave = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'"
    psql(stand, leave.format("learnflow"), "alter database learnflow rename to moved")
    yield
    psql(stand, "alter database moved rename to learnflow")


@fault(
    "an extension that the server does not have",
    "up postgres",
    "postgres-extension-missing",
    says="no extension postgis; it has",
)
def no_extension(stand: Stand) -> Iterator[None]:
    stand.settings('[postgres]\nextensions = ["postgis"]\n')
    yield


@fault(
    "SQL for a new database that fails",
    "up postgres",
    "postgres-init-failed",
    says="schema.sql, line 2",
)
def init_fails(stand: Stand) -> Iterator[None]:
    file = stand.person.folder / "learnflow-app/phase-2-infrastructure/schema.sql"
    stand.well = '[postgres]\ninit = ["schema.sql"]\n'
    stand.settings(stand.well)
    file.write_text("create table one (id int);\ncreate tabel two (id int);\n")
    yield
    file.write_text("create table one (id int);\ncreate table two (id int);\n")


@fault("a server that hangs", "verify postgres", "service-slow", telling=True)
def hangs(stand: Stand) -> Iterator[None]:
    stand.signal("postgres-0", "postgres", "STOP")
    try:
        yield
    finally:
        stand.signal("postgres-0", "postgres", "CONT")
