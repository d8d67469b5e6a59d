"""Volumes of another size or class: refused where there is data, while claims that never got their
volumes make way."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, name_of, number, objects, text
from learnflow_infra.pipeline.scope import Changes, Key, Scope, fixed_volumes
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings

_POLL_SECONDS = 0.1


def without_unbound(
    kube: Kube,
    settings: Settings,
    services: Sequence[Service],
    scope: Scope,
    changes: Changes,
    deadline: Deadline,
) -> Scope:
    """Remove the workloads whose claims are all unbound and to be of another size or class; returns
    the scope without them.

    Raises Failure(setting-fixed) for one that has volumes, before anything is removed,
    Failure(deadline-passed), and what the API raises.
    """
    namespace = settings.cluster.namespace
    unbound: dict[Key, set[Key]] = {}
    for service in services:
        for workload in service.objects(settings):
            key = (workload["kind"], name_of(workload))
            live = scope.objects.get(key)
            if live is None or _volumes(workload) == _volumes(live):
                continue
            pods = range(number(at(live, "spec", "replicas")))
            names = [f"{volume}-{key[1]}-{n}" for volume in _volumes(live) for n in pods]
            claims = {("PersistentVolumeClaim", name) for name in names} & set(scope.objects)
            if any(at(scope.objects[each], "status", "phase") != "Pending" for each in claims):
                raise fixed_volumes(workload)
            unbound[key] = claims
    for key, claims in unbound.items():
        for kind, name in (key, *sorted(claims)):
            if kube.delete(kind, namespace, name):
                changes.pruned.append(f"{kind.lower()}/{name}")
        _await_gone(kube, namespace, key[1], claims, deadline)
    gone = {each for key, claims in unbound.items() for each in (key, *claims)}
    return replace(scope, objects={k: v for k, v in scope.objects.items() if k not in gone})


def _volumes(workload: Object) -> dict[str, tuple[str, str]]:
    """The size and the class of each of its claims; nothing for the default class."""
    return {
        name_of(each): (
            text(at(each, "spec", "resources", "requests", "storage")),
            text(at(each, "spec", "storageClassName")),
        )
        for each in objects(at(workload, "spec", "volumeClaimTemplates"))
    }


def _await_gone(
    kube: Kube, namespace: str, name: str, claims: set[Key], deadline: Deadline
) -> None:
    """A claim goes after the pods that name it."""
    while kube.list("Pod", namespace, manifests.selector_text(name)) or claims & {
        ("PersistentVolumeClaim", name_of(each))
        for each in kube.list("PersistentVolumeClaim", namespace)
    }:
        deadline.remaining()
        time.sleep(_POLL_SECONDS)
