"""The SQL of `init`: files beside infra.toml, run once when their database is made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.services import Access
from learnflow_infra.services.postgres import databases
from learnflow_infra.services.postgres.client import run
from learnflow_infra.services.postgres.settings import Database, PostgresSettings
from learnflow_infra.settings import Settings

_MOST_BYTES = 64 * 2**20


def require_files(settings: Settings) -> None:
    """Raise Failure(settings-invalid) for a file that cannot be read."""
    for database in settings.of(PostgresSettings).every_database:
        _texts(settings, database)


def run_once(access: Access, database: Database) -> None:
    """Run a database's files as its owner, all or nothing. Raises Failure(postgres-init-failed)."""
    texts = _texts(access.settings, database)
    sql = "\n".join(texts)
    command = databases.initialisation(database, sql)
    done = run(access.kube, access.settings, access.deadline, command, sql)
    if not done.ok:
        where, words = _located(done.stderr, database.init, texts)
        message = f"{where} in database {database.name}: {words}"[:300]
        raise Failure(finding("postgres-init-failed", message, service="postgres"))


def _texts(settings: Settings, database: Database) -> list[str]:
    folder = settings.file.parent if settings.file else Path.cwd()
    texts = []
    for name in database.init:
        try:
            content = (folder / name).read_bytes()
            if len(content) > _MOST_BYTES:
                raise ValueError(f"is larger than {_MOST_BYTES >> 20} MiB")
            texts.append(content.decode("utf-8-sig"))
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            message = f"{settings.file}: postgres.init: {name} cannot be read: {why}"
            raise Failure(finding("settings-invalid", message)) from error
    return texts


def _located(stderr: str, files: Sequence[str], texts: Sequence[str]) -> tuple[str, str]:
    """The file and line of the first error, and its words."""
    found = re.search(r"<stdin>:(\d+): (?:ERROR|FATAL|error):\s+(.*)", stderr)
    if found is None:
        last = stderr.strip().splitlines()[-1:] or ["psql failed"]
        return ", ".join(files), last[0]
    line = int(found[1])
    for name, text in zip(files, texts, strict=True):
        lines = text.count("\n") + 1
        if line <= lines:
            return f"{name}, line {line}", found[2]
        line -= lines
    return ", ".join(files), found[2]
