"""What all scripts for psql have in common."""

from __future__ import annotations

from collections.abc import Iterable

# The application owns its databases and can put functions and settings of its own into them: there
# the server's own user looks nothing up in the application's schemas.
SESSION = r"""
\set QUIET on
set search_path = pg_catalog;
set log_statement = 'none';
set log_min_error_statement = 'panic';
\set QUIET off
"""
_HEADING = "# "


def heading(part: str) -> str:
    """Begins a part of a script, of which `changes` then says whether anything was changed."""
    return f"\n\\echo {_HEADING}{part}\n"


def changes(output: str) -> list[str]:
    """What a script changed: psql prints each part's heading, then its commands' tags."""
    changed, part = [], ""
    for line in output.splitlines():
        if line.startswith(_HEADING):
            part = line.removeprefix(_HEADING)
        elif line and part:
            changed.append(part)
    return list(dict.fromkeys(changed))


def within(database: str) -> str:
    """Goes on in a database."""
    return f"\n\\set QUIET on\n\\connect {database}\n{SESSION}"


def literal(text: str) -> str:
    """A string constant of standard SQL, where a backslash means itself."""
    return "'" + text.replace("'", "''") + "'"


def array(values: Iterable[str]) -> str:
    """An array of string constants."""
    return f"array[{', '.join(map(literal, values))}]::text[]"
