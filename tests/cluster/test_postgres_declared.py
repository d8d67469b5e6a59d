"""Databases, extensions, parameters and roles as the settings declare them, on a real server."""

from __future__ import annotations

import json
from pathlib import Path

from .conftest import Answer, Person

SETTINGS = """\
createdb = true
extensions = ["pg_trgm"]
users = [{ name = "reports" }, { name = "capture", replication = true }]
parameters = { max_connections = 60, work_mem = "3MB" }
databases = [{ name = "sales", extensions = ["citext"], init = ["sales.sql", "rows.sql"] }]
"""
SALES = """\
create table orders (id int primary key, customer citext not null);
create publication orders for table orders;
"""
ROWS = "insert into orders values (1, 'Ada')"
LARGE = """\
set max_parallel_workers_per_gather = 2; set min_parallel_table_scan_size = 0;
set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set work_mem = '32MB';
set enable_mergejoin = off; set enable_nestloop = off;
create table l as select n, md5(n::text) as t from generate_series(1, 300000) n;
create table r as select n, md5(n::text) as t from generate_series(1, 300000) n;
analyze l; analyze r;
select count(*) from l join r using (n, t);
"""


def psql(person: Person, namespace: str, database: str, sql: str, user: str = "postgres") -> str:
    pod = ("exec", "-i", "-n", namespace, "postgres-0", "--")
    options = ("-U", "postgres", "-d", database, "-qtAX", "-v", "ON_ERROR_STOP=1")
    said = person.kubectl(*pod, "psql", *options, stdin=f"set role {user};\n{sql}")
    return said.strip()


def up(person: Person, namespace: str, postgres: str) -> Answer:
    person.settings(f'[cluster]\nnamespace = "{namespace}"\n[postgres]\n{postgres}')
    return person.run("up", "postgres", "--json")


def test_all_is_as_declared_after_every_up(person: Person, elsewhere: str) -> None:
    folder = Path(person.folder, "learnflow-app/phase-2-infrastructure")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sales.sql").write_text(SALES)
    (folder / "rows.sql").write_text(ROWS)  # without a semicolon
    answer = up(person, elsewhere, SETTINGS)
    assert answer.exit_code == 0, answer.stdout
    assert {"init of sales", "extension citext of sales"} <= set(answer.json["changed"])
    again = up(person, elsewhere, SETTINGS)
    assert (again.exit_code, again.json["changed"]) == (0, []), again.stdout

    def ask(sql: str, database: str = "learnflow", user: str = "postgres") -> str:
        return psql(person, elsewhere, database, sql, user)

    assert ask("show max_connections") == "60"
    assert ask("show work_mem") == "3MB"
    assert ask("show wal_level") == "logical"
    assert ask("select 'a' % 'a'") == "t"
    assert ask("select customer = 'ADA' from orders", "sales", "reports") == "t"
    assert ask("select tableowner from pg_tables where tablename = 'orders'", "sales") == "sales"
    assert ask("select rolreplication from pg_roles where rolname = 'capture'") == "t"
    ask("create database shadow", user="learnflow")
    secret = person.secret("postgres-connection-sales", elsewhere)
    assert (secret["username"], secret["database"]) == ("sales", "sales")
    # Each database is its owner's alone.
    assert ask("select has_database_privilege('learnflow', 'sales', 'connect')") == "f"

    # /dev/shm is large enough for what a parallel query shares.
    assert ask(LARGE) == "300000"

    # A role with rights in two databases goes, and what is no longer declared is the default.
    less = SETTINGS.replace('{ name = "reports" }, ', "").replace(', work_mem = "3MB"', "")
    answer = up(person, elsewhere, less)
    assert answer.exit_code == 0, answer.stdout
    assert {"roles no longer declared", "parameters"} <= set(answer.json["changed"])
    assert ask("select count(*) from pg_roles where rolname = 'reports'") == "0"
    assert ask("show work_mem") == "4MB"
    assert ask("select count(*) from orders", "sales") == "1"  # made once

    # A parameter that the running server would not start with is refused before it is stopped.
    before = pod(person, elsewhere)
    answer = up(person, elsewhere, less.replace("= 60", '= "many"'))
    assert (answer.exit_code, answer.codes) == (1, ["postgres-parameter-refused"])
    assert answer.json.get("changed", []) == []
    assert pod(person, elsewhere) == before


def pod(person: Person, namespace: str) -> str:
    shown = json.loads(person.kubectl("get", "pod", "postgres-0", "-n", namespace, "-o", "json"))
    return str(shown["metadata"]["uid"])
