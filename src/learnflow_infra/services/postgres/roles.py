"""PostgreSQL's roles, as a psql script that changes only what is not so.

`\\gexec` runs what a query returned: nothing where all is as it should be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from learnflow_infra.services.postgres.settings import OWN_ROLES, READ, PostgresSettings
from learnflow_infra.services.postgres.sql import array, heading, literal, within

_MARK = "made by learnflow-infra"
_LEFT = "roles left in: "


def script(postgres: PostgresSettings, verifiers: Mapping[str, str]) -> str:
    """Makes the declared roles so, and shuts out those that are no longer declared; `verifiers`
    are the roles' SCRAM verifiers."""
    attributes = {name: ("nocreatedb", "noreplication") for name in postgres.owners}
    attributes[postgres.user] = _attributes(postgres.createdb, postgres.replication)
    groups: dict[str, tuple[str, ...]] = dict.fromkeys(postgres.owners, ())
    for user in postgres.users:
        attributes[user.name] = _attributes(user.createdb, user.replication)
        groups[user.name] = OWN_ROLES if user.access == "write" else (READ,)
    parts = [_group(name) for name in OWN_ROLES] if postgres.users else []
    parts += [_role(name, verifiers[name], groups[name], *attributes[name]) for name in groups]
    return "".join([*parts, _shut_out(postgres.roles)])


def _attributes(createdb: bool, replication: bool) -> tuple[str, str]:
    return ("" if createdb else "no") + "createdb", ("" if replication else "no") + "replication"


def _group(name: str) -> str:
    return f"""{heading(f"role {name}")}
select format('create role %I nologin', {literal(name)})
  where not exists (select from pg_roles where rolname = {literal(name)}) \\gexec
"""


def _role(name: str, verifier: str, groups: Sequence[str], createdb: str, replication: str) -> str:
    return f"""{heading(f"role {name}")}
select format('create role %I', {literal(name)})
  where not exists (select from pg_roles where rolname = {literal(name)}) \\gexec
select format('alter role %I with login nosuperuser {createdb} nocreaterole {replication} '
    'nobypassrls inherit password %L', rolname, {literal(verifier)})
  from pg_authid where rolname = {literal(name)}
  and (rolpassword is distinct from {literal(verifier)} or not rolcanlogin or rolsuper
    or rolcreatedb <> {str(createdb == "createdb").lower()} or rolcreaterole
    or rolreplication <> {str(replication == "replication").lower()}
    or rolbypassrls or not rolinherit) \\gexec
select format('comment on role %I is %L', rolname, {literal(_MARK)}) from pg_roles
  where rolname = {literal(name)}
  and shobj_description(oid, 'pg_authid') is distinct from {literal(_MARK)} \\gexec
select format('revoke %I from %I granted by %I cascade', held.rolname, own.rolname, by.rolname)
  from pg_auth_members
  join pg_roles own on own.oid = member and own.rolname = {literal(name)}
  join pg_roles held on held.oid = roleid and held.rolname <> all ({array(groups)})
  join pg_roles by on by.oid = grantor \\gexec
select format('grant %I to %I', held.rolname, own.rolname) from pg_roles held, pg_roles own
  where own.rolname = {literal(name)} and held.rolname = any ({array(groups)})
  and not exists (select from pg_auth_members where member = own.oid and roleid = held.oid) \\gexec
"""


def _gone(declared: Sequence[str]) -> str:
    return f"""shobj_description(r.oid, 'pg_authid') = {literal(_MARK)}
  and rolname <> all ({array(declared)})"""


def _shut_out(declared: Sequence[str]) -> str:
    """Those that are no longer declared lose their login before anything else."""
    return f"""{heading("roles no longer declared")}
select format('alter role %I nologin', rolname) from pg_roles r
  where rolcanlogin and {_gone(declared)} \\gexec
select pg_terminate_backend(pid, 5000) from pg_stat_activity join pg_roles r on r.oid = usesysid
  where {_gone(declared)};
"""


def left(postgres: PostgresSettings) -> str:
    """Prints the databases in which roles that are no longer declared have something; `postgres`
    besides where there is such a role."""
    gone = _gone(postgres.roles)
    return f"""
select distinct {literal(_LEFT)} || coalesce(datname, 'postgres') from pg_roles r
  left join pg_shdepend on refclassid = 'pg_authid'::regclass and refobjid = r.oid
  left join pg_database d on d.oid = dbid where {gone};
"""


def databases_left(output: str) -> list[str]:
    """What `left` printed."""
    lines = output.splitlines()
    return [line.removeprefix(_LEFT) for line in lines if line.startswith(_LEFT)]


def removal(postgres: PostgresSettings, databases: Sequence[str]) -> str:
    """Removes the roles that are no longer declared; what they own goes to the application's."""
    gone = _gone(postgres.roles)
    emptied = f"""{heading("roles no longer declared")}
select format('reassign owned by %I to %I', rolname, {literal(postgres.user)}),
  format('drop owned by %I', rolname) from pg_roles r where {gone} \\gexec
"""
    dropped = f"select format('drop role %I', rolname) from pg_roles r where {gone} \\gexec\n"
    return "".join(within(name) + emptied for name in databases) + dropped
