"""What can go wrong with PostgreSQL alone."""

from __future__ import annotations

from learnflow_infra.findings.causes import Cause, Exit

CAUSES = (
    Cause(
        "postgres-parameter-refused",
        Exit.UNHEALTHY,
        "The server does not take a parameter as it is declared.",
        "Correct parameters under [postgres] in infra.toml.",
        log=r"FATAL: .*(parameter [\"']|requires .\w+. to be)",
    ),
    Cause(
        "postgres-database-renamed",
        Exit.UNHEALTHY,
        "A declared database has another name in the server; an empty one in its place would hide "
        "that.",
        "Rename it back with `alter database … rename to`, or write its new name into infra.toml.",
    ),
    Cause(
        "postgres-extension-missing",
        Exit.UNHEALTHY,
        "The server's image does not have a declared extension.",
        "Take it out of infra.toml, or set an image that has it.",
    ),
    Cause(
        "postgres-init-failed",
        Exit.UNHEALTHY,
        "The SQL that is run once in a new database failed; nothing of it was kept.",
        "Correct the file, then run `learnflow-infra up`, which runs all of it again.",
    ),
    Cause(
        "postgres-password",
        Exit.UNHEALTHY,
        "The role's password in the data folder is not the one in the connection Secret.",
        "Run `learnflow-infra up`, which sets the role's password to the Secret's.",
    ),
    Cause(
        "postgres-role",
        Exit.UNHEALTHY,
        "The role is missing, may not log in, or lacks a privilege in its database.",
        "Run `learnflow-infra up`, which makes the role and its privileges again.",
    ),
    Cause(
        "postgres-access-refused",
        Exit.UNHEALTHY,
        "pg_hba.conf refuses the client.",
        "Run `kubectl delete pod postgres-0`: the file is written anew at each start.",
    ),
    Cause(
        "postgres-database-missing",
        Exit.UNHEALTHY,
        "The database of the connection Secret does not exist.",
        "Rename it back if it was renamed; else `learnflow-infra up` makes an empty one.",
    ),
    Cause(
        "postgres-connections-exhausted",
        Exit.UNHEALTHY,
        "The server, the database or the role has no connection left.",
        "End clients, found with `select usename, application_name, state from "
        "pg_stat_activity`, or raise max_connections or the role's or database's connection "
        "limit.",
    ),
    Cause(
        "postgres-starting",
        Exit.UNHEALTHY,
        "The server is starting, stopping or in recovery.",
        "Wait, then repeat; its progress is in `kubectl logs`.",
        heals=True,
    ),
    Cause(
        "postgres-in-recovery",
        Exit.UNHEALTHY,
        "The server is a standby, or still replays its log: it takes no writes.",
        "Promote it with `select pg_promote()` as the superuser, or wait until it caught up.",
    ),
    Cause(
        "postgres-read-only",
        Exit.UNHEALTHY,
        "The database takes no writes.",
        "Reset default_transaction_read_only where it was set: `alter database`, `alter "
        "role` or `alter system`.",
    ),
    Cause(
        "postgres-disk-full",
        Exit.UNHEALTHY,
        "The server's volume is full.",
        "Drop a table that is not needed (to truncate one takes room itself); or, where its "
        "StorageClass allows it, enlarge the claim data-postgres-0 with `kubectl patch pvc` and "
        "leave volume in infra.toml as it is.",
    ),
    Cause(
        "postgres-shared-memory",
        Exit.UNHEALTHY,
        "What parallel queries share does not fit into the server's /dev/shm, half of its memory.",
        "Raise memory under [postgres] in infra.toml, or lower work_mem.",
    ),
    Cause(
        "postgres-version",
        Exit.UNHEALTHY,
        "The data folder is of another major version of PostgreSQL.",
        "Set the image of that version in infra.toml again, dump the data and load it into "
        "the new one.",
        log="database files are incompatible with server",
    ),
    Cause(
        "postgres-corrupted",
        Exit.UNHEALTHY,
        "Data files are damaged or cannot be read.",
        "Keep a copy of the volume, then restore from a backup.",
        log="pg_control|control file|checkpoint record|invalid page in block|no PG_VERSION",
    ),
)
