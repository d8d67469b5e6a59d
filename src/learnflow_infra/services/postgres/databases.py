"""The declared databases: each with its owner, its extensions and the rights in it.

A comment on a database says by which name it is declared, so that one which somebody renamed is not
taken for one that is missing; and whether its first SQL has still to be run.
"""

from __future__ import annotations

from collections.abc import Sequence

from learnflow_infra.services.postgres.settings import PROBES, READ, WRITE, Database
from learnflow_infra.services.postgres.sql import array, heading, literal, within

# Classes of SQLSTATE that PostgreSQL leaves to others.
RENAMED, NO_EXTENSION = "LF001", "LF002"
_PENDING = "initialised next: "


def _mark(name: str) -> str:
    return f"made by learnflow-infra as {name}"


def _unready(name: str) -> str:
    return f"{_mark(name)}, not initialised"


def possible(databases: Sequence[Database]) -> str:
    """Raises an error, before anything is changed, for what cannot be."""
    renamed = ", ".join(
        f"({literal(each.name)}, {literal(_mark(each.name))}, {literal(_unready(each.name))})"
        for each in databases
    )
    extensions = sorted({name for each in databases for name in each.extensions})
    return f"""
do $possible$ declare found text; begin
  select format('database %s was renamed to %s', wanted.name, d.datname) into found
    from (values {renamed}) as wanted (name, mark, unready)
    join pg_database d on shobj_description(d.oid, 'pg_database') in (mark, unready)
    where d.datname <> wanted.name
    and not exists (select from pg_database where datname = wanted.name) limit 1;
  if found is not null then raise exception using errcode = '{RENAMED}', message = found; end if;
  select format('the server has no extension %s; it has %s', string_agg(wanted, ', '),
      (select string_agg(name, ', ' order by name) from pg_available_extensions)) into found
    from unnest({array(extensions)}) as wanted
    where not exists (select from pg_available_extensions where name = wanted)
    having count(*) > 0;
  if found is not null then
    raise exception using errcode = '{NO_EXTENSION}', message = found;
  end if;
end $possible$;
"""


def made(database: Database) -> str:
    """Makes it so from outside."""
    name, owner = literal(database.name), literal(database.owner)
    of_ours = literal(_mark(""))
    mark = _unready(database.name) if database.init else _mark(database.name)
    return f"""{heading(f"database {database.name}")}
select format('create database %I owner %I', {name}, {owner}),
  format('comment on database %I is %L', {name}, {literal(mark)})
  where not exists (select from pg_database where datname = {name}) \\gexec
select format('comment on database %I is %L', datname, {literal(_mark(database.name))})
  from pg_database, coalesce(shobj_description(oid, 'pg_database'), {of_ours}) as said
  where datname = {name} and starts_with(said, {of_ours})
  and said not in ({literal(_mark(database.name))}, {literal(_unready(database.name))}) \\gexec
select format('alter database %I owner to %I', datname, {owner})
  from pg_database where datname = {name} and datdba <> {owner}::regrole \\gexec
"""


def closed(databases: Sequence[Database]) -> str:
    """Takes everyone's rights in the databases themselves."""
    names = array(["postgres", "template1", *(each.name for each in databases)])
    return f"""{heading("privileges of public")}
select format('revoke all on database %I from public', datname)
  from pg_database where datname = any ({names}) and exists
    (select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0) \\gexec
"""


def inside(database: Database, readers: bool) -> str:
    """Makes it so from inside; `readers` is whether there are users beside the owners."""
    parts = [within(database.name), heading("privileges of public"), _PUBLIC]
    parts += [_extension(name, database.name) for name in database.extensions]
    if readers:
        parts.append(_privileges(database.owner))
    if database.init:
        parts.append(f"""
select {literal(_PENDING)} || datname from pg_database where datname = current_database()
  and shobj_description(oid, 'pg_database') = {literal(_unready(database.name))};
""")
    return "".join(parts)


_PUBLIC = """
select 'revoke all on schema public from public' from pg_namespace
  where nspname = 'public' and exists
    (select from aclexplode(nspacl) where grantee = 0) \\gexec
"""


def _extension(name: str, database: str) -> str:
    return f"""{heading(f"extension {name} of {database}")}
select format('create extension %I %s cascade', e.name,
    case when v.schema is null then 'schema public' end)
  from pg_available_extensions e join pg_available_extension_versions v
    on v.name = e.name and v.version = e.default_version
  where e.name = {literal(name)} and e.installed_version is null \\gexec
"""


def pending(output: str, databases: Sequence[Database]) -> list[Database]:
    """Those whose first SQL has still to be run, as the script printed it."""
    lines = output.splitlines()
    return [each for each in databases if f"{_PENDING}{each.name}" in lines]


def initialisation(database: Database, sql: str) -> list[str]:
    """A command in the server's pod that runs SQL from its standard input, to which nothing puts an
    end, as the owner, and notes that it was run: both or neither."""
    name, mark = database.name, _mark(database.name)
    before = f'comment on database "{name}" is {literal(mark)}; set role "{database.owner}";'
    count = str(len(sql.encode()))
    run = 'set -o pipefail; head -c "$1" | psql "${@:2}"'
    options = ["--no-psqlrc", "--quiet", "--username=postgres", f"--dbname={name}"]
    options += ["--set=ON_ERROR_STOP=1", "--set=VERBOSITY=verbose", "--single-transaction"]
    return ["bash", "-c", run, "initialise", count, *options, f"--command={before}", "--file=-"]


def _privileges(owner: str) -> str:
    """What the groups may do: in every schema, and with what the owner will make."""
    own, read, write = literal(owner), literal(READ), literal(WRITE)
    return f"""{heading(f"privileges of {READ} and {WRITE}")}
select format('grant connect on database %I to %I', current_database(), {read})
  where not has_database_privilege({read}, current_database(), 'connect') \\gexec
select format('grant usage on schema %I to %I', nspname, {read}) from pg_namespace
  where nspname !~ '^(pg_|{PROBES})' and nspname <> 'information_schema'
  and not has_schema_privilege({read}, oid, 'usage') \\gexec
with wanted (kinds, what, privileges, grantee) as (values
    ('rpvmf', 'table', array['select'], {read}),
    ('rpvf', 'table', array['insert', 'update', 'delete'], {write}),
    ('S', 'sequence', array['select'], {read}),
    ('S', 'sequence', array['usage'], {write}))
select format('grant %s on %s %I.%I to %I',
    array_to_string(privileges, ', '), what, nspname, relname, grantee)
  from pg_class join pg_namespace n on n.oid = relnamespace join wanted
    on strpos(kinds, relkind::text) > 0
  where nspname !~ '^(pg_|{PROBES})' and nspname <> 'information_schema'
  and exists (select from unnest(privileges) as wish (privilege) where not exists (
    select from aclexplode(relacl) a
    where a.grantee = wanted.grantee::regrole and a.privilege_type = upper(privilege))) \\gexec
with wanted (kind, what, privileges, grantee) as (values
    ('n', 'schemas', 'usage', {read}),
    ('r', 'tables', 'select', {read}),
    ('r', 'tables', 'insert, update, delete', {write}),
    ('S', 'sequences', 'select', {read}),
    ('S', 'sequences', 'usage', {write}))
select format('alter default privileges for role %I grant %s on %s to %I',
    {own}, privileges, what, grantee)
  from wanted where not exists (
    select from pg_default_acl d, aclexplode(d.defaclacl) a
    where d.defaclrole = {own}::regrole and d.defaclnamespace = 0
    and d.defaclobjtype::text = wanted.kind and a.grantee = wanted.grantee::regrole) \\gexec
"""
