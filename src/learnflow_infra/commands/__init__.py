"""One file a command, with a function of its name: from a Request to a Report.

Raises Failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from learnflow_infra.cluster import Provider, Say
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.report import Report
from learnflow_infra.services import Service, registry
from learnflow_infra.settings import Settings


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    settings: Settings
    names: Sequence[str]
    deadline: Deadline
    say: Say
    options: Mapping[str, Any] = field(default_factory=dict)
    """The command's own, by their names on the command line."""
    show: Callable[[Report], None] = lambda report: None
    """Prints the report of a command that goes on after it."""

    @property
    def services(self) -> list[Service]:
        known = registry()
        return [known[name] for name in self.names] or list(known.values())


def reported_cluster(provider: Provider, settings: Settings) -> Mapping[str, str]:
    """The cluster that a report tells of, as its `cluster`."""
    return {"context": provider.context, "namespace": settings.cluster.namespace}
