"""The causes: all that can go wrong, as one table.

A cause has a stable code, the exit code that it ends a command with, what it means and what to do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Exit(IntEnum):
    DONE = 0
    UNHEALTHY = 1
    USAGE = 2
    NO_CLUSTER = 3
    NO_RESOURCES = 4
    DEADLINE = 5
    INTERRUPTED = 130


class Rank(IntEnum):
    """What blocks what: of two causes the one of the lower rank is told first, and of one rank the
    one that stands earlier in the table."""

    COMMAND = 0
    """The command line, the machine and the cluster."""
    DEPLOYMENT = 1
    """What is deployed, as a whole."""
    PODS = 2
    """Pods and what they take, in the order in which they block each other."""
    SERVICE = 3
    """A service whose pods run."""
    REST = 4
    """What only counts where nothing else is known."""


@dataclass(frozen=True)
class Cause:
    code: str
    exit: Exit
    meaning: str
    remedy: str
    heals: bool = False
    """Whether it may pass by itself shortly after a start."""
    shared: bool = False
    """Whether services that show it show one and the same."""
    log: str = ""
    """A pattern of what the last lines of a server's log say where this made it end."""
    untested: str = ""
    """Why no test brings it about."""


CAUSES: dict[str, Cause] = {}
_ORDER: dict[str, tuple[Rank, int]] = {}


def register(rank: Rank, *causes: Cause) -> None:
    """Add causes to the table. Raises ValueError for a code that it has."""
    for cause in causes:
        if cause.code in CAUSES:
            raise ValueError(f"the cause {cause.code} stands in the table twice")
        _ORDER[cause.code] = (rank, len(CAUSES))
        CAUSES[cause.code] = cause


def order(code: str) -> tuple[Rank, int]:
    """The place of a cause among others: the most blocking one's is the least."""
    return _ORDER[code]
