"""The section [postgres] of infra.toml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from learnflow_infra.services.postgres import parameters
from learnflow_infra.settings import rules
from learnflow_infra.settings.service import ServiceSettings, Sizes

# The roles that hold what declared users may do with the tables.
READ, WRITE = OWN_ROLES = ("learnflow_read", "learnflow_write")
# How the schemas of proofs begin.
PROBES = "learnflow_probe_"

_ROLE = (r"[a-z]([a-z0-9_]{0,38}[a-z0-9])?", "a role such as reports: a-z, 0-9, _")
_OWNER = (rf"({_ROLE[0]})?", f"{_ROLE[1]}, or empty for one of the database's name")
_IDENTIFIER = (r"[a-z_][a-z0-9_]{0,62}", "lower-case letters, digits and _, at most 63")
_EXTENSION = (r"[a-z0-9_-]{1,63}", "an extension such as pg_trgm")
_FILE = (r"[^\x00-\x1f]{1,200}", "a file with SQL, relative to infra.toml")


@dataclass(frozen=True)
class Database:
    """A database of its own, with a Secret postgres-connection-NAME (a - for each _)."""

    name: str = rules.required(_ROLE)
    owner: str = rules.text("", _OWNER, "Its owner's role; empty for one of the database's name.")
    extensions: tuple[str, ...] = rules.texts(_EXTENSION, doc="As for the first database.")
    init: tuple[str, ...] = rules.texts(_FILE, doc="As for the first database.")


@dataclass(frozen=True)
class User:
    """A role of its own, with a Secret postgres-connection-NAME (a - for each _)."""

    name: str = rules.required(_ROLE)
    access: str = rules.choice(
        "read", "write", doc="read the tables of every database; or write them as well."
    )
    createdb: bool = rules.flag(False, "Whether it may create databases.")
    replication: bool = rules.flag(False, "Whether it may replicate.")


@dataclass(frozen=True)
class PostgresSettings(ServiceSettings):
    name: ClassVar[str] = "postgres"
    sizes: ClassVar[Sizes] = {"standard": ("250m", "256Mi"), "small": ("50m", "192Mi")}

    image: str = rules.text("postgres:17.12", rules.IMAGE, "The image of its pods.")
    host_port: int = rules.number(15432, 1024, 65535, "`connect` opens this port on localhost.")
    database: str = rules.text("learnflow", _IDENTIFIER, "The application's database.")
    user: str = rules.text("learnflow", _IDENTIFIER, "The role that owns it.")
    createdb: bool = rules.flag(False, "Whether that role may create databases.")
    replication: bool = rules.flag(False, "Whether it may replicate; wal_level is logical.")
    extensions: tuple[str, ...] = rules.texts(
        _EXTENSION, doc="The database's extensions. One that is taken out of here is kept."
    )
    init: tuple[str, ...] = rules.texts(
        _FILE,
        doc="Files with SQL, beside this one, that the owner runs once, when the database is made.",
    )
    databases: tuple[Database, ...] = rules.tables(
        Database,
        doc="More databases, each with a Secret postgres-connection-NAME (a - for each _), such as "
        '{ name = "analytics", extensions = ["pg_trgm"] }. One that is taken out of here is kept.',
    )
    users: tuple[User, ...] = rules.tables(
        User,
        doc='More roles, each with a Secret like that, such as { name = "reports", access = '
        '"read" }.',
    )
    parameters: tuple[tuple[str, str], ...] = rules.configuration(
        'The server\'s parameters, such as { max_connections = 200, work_mem = "8MB" }. Those that '
        "only a start reads restart it; one that is taken out of here is the default again."
    )

    @property
    def every_database(self) -> tuple[Database, ...]:
        """The application's first; each with its owner."""
        first = Database(self.database, self.user, self.extensions, self.init)
        others = (Database(x.name, x.owner or x.name, x.extensions, x.init) for x in self.databases)
        return (first, *others)

    @property
    def owners(self) -> tuple[str, ...]:
        """The roles that own databases, the application's first."""
        return tuple(dict.fromkeys(each.owner for each in self.every_database))

    @property
    def roles(self) -> tuple[str, ...]:
        """Every role that logs in: the owners, the application's first, and the users."""
        return (*self.owners, *(user.name for user in self.users))

    @property
    def connections(self) -> Mapping[str, tuple[str, str]]:
        """The Secrets that clients bind to: of each the role and the database."""
        further = [(each.name, each.owner, each.name) for each in self.every_database[1:]]
        further += [(user.name, user.name, self.database) for user in self.users]
        return {"postgres-connection": (self.user, self.database)} | {
            f"postgres-connection-{name.replace('_', '-')}": (role, database)
            for name, role, database in further
        }

    def check(self) -> None:
        databases = [each.name for each in self.every_database]
        users = [user.name for user in self.users]
        owners = [("databases", each.owner) for each in self.every_database[1:]]
        for setting, name in (("user", self.user), *owners, *(("users", name) for name in users)):
            if name in ("postgres", "public", "none") or name.startswith("pg_"):
                raise ValueError(f"postgres.{setting}: {name!r} is a name that PostgreSQL keeps")
            if name in OWN_ROLES:
                raise ValueError(
                    f"postgres.{setting}: {name!r} is a role that the deployment keeps"
                )
        for name in users:
            if [*self.owners, *users].count(name) > 1:
                raise ValueError(f"postgres.users: {name!r} is named twice")
        for name in databases:
            if name in ("postgres", "template0", "template1"):
                setting = "database" if name == self.database else "databases"
                raise ValueError(f"postgres.{setting}: must not be one of PostgreSQL's own")
            if databases.count(name) > 1:
                raise ValueError(f"postgres.databases: {name!r} is named twice")
        if len(self.connections) < len(databases) + len(users):
            raise ValueError(
                "postgres.users: a user's name is a database's as well, and each has a Secret of "
                "its own, postgres-connection-NAME"
            )
        for name, _ in self.parameters:
            if name in parameters.OWNED:
                raise ValueError(
                    f"postgres.parameters: {name} is the deployment's own, {parameters.OWNED[name]}"
                )
