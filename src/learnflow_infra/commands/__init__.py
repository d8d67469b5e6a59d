"""One file a command, with a function of its name: from a Request to a Report.

Raises Failure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from learnflow_infra.cluster import Provider, Say
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.report import Report
from learnflow_infra.services import Service, registry
from learnflow_infra.settings import Settings, shown


@dataclass
class Request:
    """What a user asked for. Raises Failure(usage) for a service that the settings do not have."""

    settings: Settings
    names: Sequence[str]
    """The services that the command line names; none for all."""
    deadline: Deadline
    say: Say
    options: Mapping[str, Any] = field(default_factory=dict)
    """The command's own, by their names on the command line."""
    note: Say = lambda _: None
    """Prints a line that the user is to read whole, and that stays."""
    show: Callable[[Report], None] = lambda report: None
    """Prints the report of a command that goes on after it."""
    reached: Mapping[str, str] = field(default_factory=dict, init=False)
    """The cluster that was asked, as a report tells it."""
    kubectl: Sequence[str] = field(default=("kubectl",), init=False)
    """The kubectl that asked it."""
    services: Sequence[Service] = field(init=False)
    """The services that are meant."""

    def __post_init__(self) -> None:
        there = {service.name: service for service in registry.of(self.settings)}
        for name in self.names:
            if name not in there:
                message = f"{name!r} is no service of the settings; there are {', '.join(there)}"
                raise Failure(finding("usage", message))
        self.services = [there[name] for name in self.names] or list(there.values())

    def api(self, provider: Provider) -> Kube:
        """The provider's cluster. A context manager; raises Failure."""
        self.reached = reported_cluster(provider, self.settings)
        self.kubectl = provider.kubectl
        return Kube(provider.kubectl, provider.context, self.deadline, self.note)


def reported_cluster(provider: Provider, settings: Settings) -> Mapping[str, str]:
    """The cluster that a report tells of, with the settings' file, as its `cluster`."""
    where = {"context": provider.context, "namespace": settings.cluster.namespace}
    return where | {"settings": str(settings.file or "")}


def cluster_line(provider: Provider, settings: Settings) -> str:
    """The same for a text."""
    where = f"context {provider.context}, namespace {settings.cluster.namespace}"
    return f"{where}, settings: {shown(settings.file)}"
