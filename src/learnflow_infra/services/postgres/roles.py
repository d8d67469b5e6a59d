"""What PostgreSQL's roles may do, as a psql script that changes only what is not so.

`\\gexec` runs what a query returned: nothing where all is as it should be. The application owns its
database and can put functions and settings of its own into it: there the server's own user looks
nothing up in the application's schemas.
"""

from __future__ import annotations

from collections.abc import Mapping

from learnflow_infra.services.postgres.settings import (
    OWN_ROLES,
    PROBES,
    READ,
    WRITE,
    PostgresSettings,
)

_MARK = "made by learnflow-infra"
_HEADING = "# "

SESSION = r"""
\set QUIET on
set search_path = pg_catalog;
set log_statement = 'none';
set log_min_error_statement = 'panic';
\set QUIET off
"""


def script(postgres: PostgresSettings, verifiers: Mapping[str, str]) -> str:
    """Makes the declared roles and privileges so; `verifiers` are the roles' SCRAM verifiers."""
    groups = {
        postgres.user: (),
        **{user.name: _groups(user.access) for user in postgres.users},
    }
    parts = []
    if postgres.users:
        parts += [_group(name) for name in OWN_ROLES]
    parts += [_role(name, verifiers[name], groups[name]) for name in groups]
    parts += [_shut_out(groups), _database(postgres), _within(postgres.database)]
    if postgres.users:
        parts.append(_privileges(postgres.user))
    parts.append(_removed(groups, postgres.user))
    return "".join(parts)


def changes(output: str) -> list[str]:
    """What the script changed: psql prints each part's heading, then its commands' tags."""
    changed, part = [], ""
    for line in output.splitlines():
        if line.startswith(_HEADING):
            part = line.removeprefix(_HEADING)
        elif line and part:
            changed.append(part)
    return list(dict.fromkeys(changed))


def literal(text: str) -> str:
    """A string constant of standard SQL, where a backslash means itself."""
    return "'" + text.replace("'", "''") + "'"


def _groups(access: str) -> tuple[str, ...]:
    return OWN_ROLES if access == "write" else (READ,)


def _list(texts: Mapping[str, object] | tuple[str, ...]) -> str:
    return f"array[{', '.join(map(literal, texts))}]::text[]"


def _group(name: str) -> str:
    return f"""
\\echo # role {name}
select format('create role %I nologin', {literal(name)})
  where not exists (select from pg_roles where rolname = {literal(name)}) \\gexec
"""


def _role(name: str, verifier: str, groups: tuple[str, ...]) -> str:
    return f"""
\\echo # role {name}
select format('create role %I', {literal(name)})
  where not exists (select from pg_roles where rolname = {literal(name)}) \\gexec
select format('alter role %I with login nosuperuser nocreatedb nocreaterole noreplication '
    'nobypassrls inherit password %L', rolname, {literal(verifier)})
  from pg_authid where rolname = {literal(name)}
  and (rolpassword is distinct from {literal(verifier)} or not rolcanlogin or rolsuper
    or rolcreatedb or rolcreaterole or rolreplication or rolbypassrls or not rolinherit) \\gexec
select format('comment on role %I is %L', rolname, {literal(_MARK)}) from pg_roles
  where rolname = {literal(name)}
  and shobj_description(oid, 'pg_authid') is distinct from {literal(_MARK)} \\gexec
select format('revoke %I from %I granted by %I cascade', held.rolname, own.rolname, by.rolname)
  from pg_auth_members
  join pg_roles own on own.oid = member and own.rolname = {literal(name)}
  join pg_roles held on held.oid = roleid and held.rolname <> all ({_list(groups)})
  join pg_roles by on by.oid = grantor \\gexec
select format('grant %I to %I', held.rolname, own.rolname) from pg_roles held, pg_roles own
  where own.rolname = {literal(name)} and held.rolname = any ({_list(groups)})
  and not exists (select from pg_auth_members where member = own.oid and roleid = held.oid) \\gexec
"""


def _gone(declared: Mapping[str, object]) -> str:
    return f"""shobj_description(oid, 'pg_authid') = {literal(_MARK)}
  and rolname <> all ({_list(declared)})"""


def _shut_out(declared: Mapping[str, object]) -> str:
    """Those that are no longer declared lose their login before anything else."""
    return f"""
\\echo # roles no longer declared
select format('alter role %I nologin', rolname) from pg_roles
  where rolcanlogin and {_gone(declared)} \\gexec
select pg_terminate_backend(pid, 5000) from pg_stat_activity join pg_roles on oid = usesysid
  where {_gone(declared)};
"""


def _database(postgres: PostgresSettings) -> str:
    database, owner = literal(postgres.database), literal(postgres.user)
    return f"""
\\echo # database {postgres.database}
select format('create database %I owner %I', {database}, {owner})
  where not exists (select from pg_database where datname = {database}) \\gexec
select format('alter database %I owner to %I', datname, {owner})
  from pg_database where datname = {database} and datdba <> {owner}::regrole \\gexec
\\echo # privileges of public
select format('revoke all on database %I from public', datname)
  from pg_database where datname in ('postgres', 'template1', {database}) and exists
    (select from aclexplode(coalesce(datacl, acldefault('d', datdba))) where grantee = 0) \\gexec
"""


def _within(database: str) -> str:
    return f"""
\\set QUIET on
\\connect {database}
{SESSION}
select 'revoke all on schema public from public' from pg_namespace
  where nspname = 'public' and exists
    (select from aclexplode(nspacl) where grantee = 0) \\gexec
"""


def _privileges(owner: str) -> str:
    """What the groups may do: in every schema, and with what the owner will make."""
    own, read, write = literal(owner), literal(READ), literal(WRITE)
    return f"""
\\echo # privileges of {READ} and {WRITE}
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


def _removed(declared: Mapping[str, object], heir: str) -> str:
    return f"""
\\echo # roles no longer declared
select format('reassign owned by %I to %I', rolname, {literal(heir)}),
  format('drop owned by %I', rolname), format('drop role %I', rolname)
  from pg_roles where {_gone(declared)} \\gexec
"""
