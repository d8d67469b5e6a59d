"""One file a command: each takes what the user asked for and returns a Report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from learnflow_infra.cluster import Provider, Say
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services import Service, registry
from learnflow_infra.settings import Settings


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    settings: Settings
    names: Sequence[str]
    deadline: Deadline
    say: Say

    @property
    def services(self) -> list[Service]:
        known = registry()
        return [known[name] for name in self.names] or list(known.values())


def reported_cluster(provider: Provider, settings: Settings) -> Mapping[str, str]:
    """The cluster that a report tells of, as its `cluster`."""
    return {"context": provider.context, "namespace": settings.cluster.namespace}


def cluster_line(provider: Provider, settings: Settings) -> str:
    """The same for a text."""
    return f"context {provider.context}, namespace {settings.cluster.namespace}"
