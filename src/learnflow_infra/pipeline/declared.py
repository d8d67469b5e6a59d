"""Whether a settings file declared a scope, so that nothing is removed for want of the file."""

from __future__ import annotations

import shlex

from learnflow_infra.cluster import deployments
from learnflow_infra.findings.failures import Failure, finding, some
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, text
from learnflow_infra.services import registry
from learnflow_infra.settings import FILE_NAME, Settings

_NAME = "learnflow-settings"
_MOST_NAMED = 4


def record(settings: Settings) -> Object:
    """The mark that a file declared the scope. It stays as long as the data, in which users, topics
    and databases are; where the file lies is the user's own affair."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": manifests.metadata(settings, manifests.SHARED, _NAME, data=True),
        "data": {
            "declared-by": FILE_NAME,
            **{each.name: "\n".join(each.declared(settings)) for each in registry.of(settings)},
        },
    }


def kept(before: Object | None, settings: Settings) -> list[str]:
    """What the record of before declared and the settings no longer do, and which is kept."""
    notes = []
    for service in registry.of(settings):
        former = text(at(before, "data", service.name)).splitlines()
        there = set(service.declared(settings))
        if gone := [x for x in former if x not in there and x.startswith(tuple(service.keeps))]:
            named = some(gone, _MOST_NAMED)
            notes.append(f"{service.name}: no longer declared, and kept: {named}")
    return notes


def require_file(kube: Kube, settings: Settings) -> None:
    """Raise Failure(settings-not-found) where the scope was declared by a file and none is there.

    Without it all that it declared beyond the defaults would be removed.
    """
    namespace = settings.cluster.namespace
    if settings.file is not None:
        return
    found = kube.get("ConfigMap", namespace, _NAME)
    if found is None or not manifests.in_scope(found):
        return
    before = deployments.last(namespace)
    file = before.settings if before else ""
    where = file or f"a {FILE_NAME} that is not known on this machine"
    message = f"namespace {namespace} was deployed with {where}, and there is none here"
    command = f"`learnflow-infra up --settings {shlex.quote(file) if file else 'FILE'}`"
    remedy = (
        f"Run {command}, or repeat in that project's folder. To go back to the defaults, and lose "
        "what the file declared beyond them, name an empty one."
    )
    raise Failure(finding("settings-not-found", message, remedy=remedy))
