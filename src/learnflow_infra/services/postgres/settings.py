"""The section [postgres] of infra.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learnflow_infra.settings import rules
from learnflow_infra.settings.service import ServiceSettings, Sizes

# The roles that hold what declared users may do with the tables.
READ, WRITE = OWN_ROLES = ("learnflow_read", "learnflow_write")
# How the schemas of proofs begin.
PROBES = "learnflow_probe_"

_ROLE = (r"[a-z]([a-z0-9_]{0,38}[a-z0-9])?", "a role such as reports: a-z, 0-9, _")
_IDENTIFIER = (r"[a-z_][a-z0-9_]{0,62}", "lower-case letters, digits and _, at most 63")


@dataclass(frozen=True)
class User:
    """A role of its own, and whether it reads the application's tables or writes them as well."""

    name: str = rules.required(_ROLE)
    access: str = rules.choice("read", "write")


@dataclass(frozen=True)
class PostgresSettings(ServiceSettings):
    name: ClassVar[str] = "postgres"
    sizes: ClassVar[Sizes] = {"standard": ("250m", "256Mi"), "small": ("50m", "192Mi")}

    image: str = rules.text("postgres:17.12", rules.IMAGE)
    host_port: int = rules.number(15432, 1024, 65535)
    database: str = rules.text("learnflow", _IDENTIFIER)
    user: str = rules.text("learnflow", _IDENTIFIER)
    users: tuple[User, ...] = rules.tables(User)

    def check(self) -> None:
        users = [user.name for user in self.users]
        for setting, name in (("user", self.user), *(("users", name) for name in users)):
            if name in ("postgres", "public", "none") or name.startswith("pg_"):
                raise ValueError(f"postgres.{setting}: {name!r} is a name that PostgreSQL keeps")
            if name in OWN_ROLES:
                raise ValueError(
                    f"postgres.{setting}: {name!r} is a role that the deployment keeps"
                )
            if [self.user, *users].count(name) > 1:
                raise ValueError(f"postgres.users: {name!r} is named twice")
        if self.database in ("postgres", "template0", "template1"):
            raise ValueError("postgres.database: must not be one of PostgreSQL's own")
