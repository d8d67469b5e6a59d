"""What can go wrong: one table of causes, and the one exception that carries findings.

A cause has a stable code, the exit code that it ends a command with, what it means and what to
do. The report prints findings; nothing else does.
"""

from __future__ import annotations

from collections.abc import Iterable
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


@dataclass(frozen=True)
class Cause:
    code: str
    exit: Exit
    meaning: str
    remedy: str


@dataclass(frozen=True)
class Finding:
    """One cause met: the first of several is the one to mend first."""

    code: str
    message: str
    remedy: str
    service: str | None = None


class Failure(Exception):
    """Ends a command with findings; its exit code is that of the first finding's cause."""

    def __init__(self, *findings: Finding) -> None:
        self.findings = findings
        super().__init__("; ".join(f"{each.code}: {each.message}" for each in findings))

    @property
    def exit_code(self) -> Exit:
        return CAUSES[self.findings[0].code].exit


def finding(
    code: str, message: str, *, service: str | None = None, remedy: str | None = None
) -> Finding:
    """A finding of a cause in the table, with the table's remedy unless a better one is known."""
    return Finding(code, message, remedy or CAUSES[code].remedy, service)


def _table(causes: Iterable[Cause]) -> dict[str, Cause]:
    return {cause.code: cause for cause in causes}


CAUSES = _table(
    (
        Cause(
            "deadline-passed",
            Exit.DEADLINE,
            "The command's time was over before its work was done.",
            "Give it more with --timeout, or look with `learnflow-infra status`.",
        ),
        Cause(
            "local-cluster-unavailable",
            Exit.NO_CLUSTER,
            "The local cluster cannot run on this machine.",
            "Start Minikube, or name a cluster with --context.",
        ),
        Cause(
            "programs-missing",
            Exit.NO_CLUSTER,
            "Programs that are needed are neither installed nor could they be fetched.",
            "Install the named packages, or make Debian's package registry reachable, and repeat.",
        ),
        Cause(
            "local-cluster-build-failed",
            Exit.NO_CLUSTER,
            "The local cluster's programs could not be built.",
            "Read the named log; the build goes on from where it stopped when repeated.",
        ),
        Cause(
            "local-cluster-start-failed",
            Exit.NO_CLUSTER,
            "The local cluster did not come up.",
            "Read the named log, then `learnflow-infra cluster down` and `up` again.",
        ),
        Cause(
            "image-build-failed",
            Exit.UNHEALTHY,
            "A container image could be neither pulled nor built.",
            "Make a container registry or the package registries reachable, then repeat.",
        ),
    )
)
