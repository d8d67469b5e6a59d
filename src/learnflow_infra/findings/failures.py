"""A finding is one cause met; a Failure carries findings to the report.

The errors that cross from one module to another:

    Exception
    ├── Failure            ends a command, or the judging of one service, with its findings
    │   ├── ApiError       the API server refused one request (kubernetes.errors)
    │   └── NotReached     kubectl made no connection to it (kubernetes.errors)
    ├── DialError          a route could not make a connection (kubernetes.routes)
    ├── CommandFailed      a program did not start, or ended with an error (host.process)
    ├── ApiRefused         the local cluster's own API server refused a request (cluster.local.api)
    └── NodeEnds           the local cluster's node must end (cluster.local.node)

Only Failures reach a user: who catches one of the others knows which cause it means.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from learnflow_infra.findings.causes import CAUSES, Exit


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
    def of_cluster(self) -> bool:
        """Whether it is the cluster that is missing, so that no service can be judged."""
        return self.exit_code is Exit.NO_CLUSTER

    def of(self, service: str) -> tuple[Finding, ...]:
        """The findings as those of a service, where they name none."""
        return tuple(replace(each, service=each.service or service) for each in self.findings)

    @property
    def exit_code(self) -> Exit:
        return CAUSES[self.findings[0].code].exit


def finding(
    code: str, message: str, *, service: str | None = None, remedy: str | None = None
) -> Finding:
    """A finding of a cause in the table, with the table's remedy unless a better one is known."""
    return Finding(code, message, remedy or CAUSES[code].remedy, service)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def some(names: Sequence[str], most: int) -> str:
    """The first names in a sentence, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
