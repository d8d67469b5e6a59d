"""The services that there are, by name.

Ours stand here; one of somebody else's is an entry point of its own distribution, in the group
`learnflow_infra.services`, and is deployed where `services` in infra.toml names it.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache

from learnflow_infra.findings.causes import Rank, register
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings
from learnflow_infra.settings.service import ServiceSettings

ENTRY_POINTS = "learnflow_infra.services"
_OWN = {
    "kafka": "learnflow_infra.services.kafka.service:Kafka",
    "postgres": "learnflow_infra.services.postgres.service:Postgres",
}


@cache
def find(name: str) -> Service:
    """The service of a name, whose causes stand in the table from now on. Raises ValueError where
    there is none."""
    service: Service = _kind(name)()
    register(Rank.SERVICE, *service.causes)
    return service


def _kind(name: str) -> Callable[[], Service]:
    if name in _OWN:
        own: Callable[[], Service] = pkgutil.resolve_name(_OWN[name])
        return own
    from importlib.metadata import entry_points  # 40 ms, for somebody else's alone

    others = {each.name: each for each in entry_points(group=ENTRY_POINTS)}
    if name not in others:
        raise ValueError(f"{name!r} is no service; there are {', '.join((*_OWN, *others))}")
    other: Callable[[], Service] = others[name].load()
    return other


def own() -> list[Service]:
    """The services that are deployed where the settings name none."""
    return [find(name) for name in _OWN]


def of(settings: Settings) -> list[Service]:
    """The services of the settings, in their order."""
    return [find(name) for name in settings.services]


def sections(names: Sequence[str] | None) -> Mapping[str, type[ServiceSettings]]:
    """The sections of infra.toml that services have: our own, and the named ones'. Raises
    ValueError for a name that is no service."""
    return {name: find(name).settings for name in dict.fromkeys((*_OWN, *(names or ())))}
