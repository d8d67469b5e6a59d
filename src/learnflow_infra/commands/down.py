"""`down`: removes what `up` made and keeps the data; with --purge, the data too."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator

from learnflow_infra import cluster
from learnflow_infra.cluster import deployments
from learnflow_infra.commands import Request, cluster_line, reported_cluster
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, name_of, text, uid_of
from learnflow_infra.pipeline import lease, volumes
from learnflow_infra.pipeline.scope import scoped
from learnflow_infra.report import Report, agreed

_POLL_SECONDS = 0.2
# What a namespace has without anyone's doing.
_BORN_WITH = {("configmaps", "kube-root-ca.crt"), ("serviceaccounts", "default")}
_PASSING = {"events", "leases", "bindings"}


def down(request: Request) -> Report:
    """Remove, and wait until it is gone. Nothing without the scope's label is touched."""
    settings, deadline, say = request.settings, request.deadline, request.say
    namespace, purge = settings.cluster.namespace, request.options["purge"]
    ask = purge and not request.options["yes"]
    names = [service.name for service in request.services]
    if ask and not (sys.stdin and sys.stdin.isatty()):
        message = "--purge removes all data, and there is no terminal to ask on"
        raise Failure(finding("usage", message, remedy="Add --yes to remove the data."))
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    if ask:
        what = f"Remove {' and '.join(names)} with all data from {provider.context}/{namespace}?"
        if not agreed(what):
            raise Failure(finding("declined", "nothing was removed"))
    removed = []
    with request.api(provider) as kube, contextlib.ExitStack() as open_:
        if kube.get("Namespace", None, namespace) is not None:
            open_.enter_context(lease.held(kube, settings, "down", deadline, say))
        there = scoped(kube, namespace)
        others = {_owner(item) for item in there.values()} - {*names, manifests.SHARED}
        # What all services share goes with the last of them.
        whole = not request.names and not others
        owners = [*names, manifests.SHARED] if whole else names
        objects = [
            key
            for key, item in there.items()
            if _owner(item) in owners
            and (purge or manifests.DATA_LABEL not in item["metadata"]["labels"])
        ]
        # Workloads go first, so that no controller brings back what was removed.
        for kind, name in sorted(objects, key=lambda each: each[0] != "StatefulSet"):
            if kube.delete(kind, namespace, name):
                removed.append(f"{kind.lower()}/{name}")
        say(f"{len(removed)} objects are being removed")
        while left := _remaining(kube, namespace, names, objects):
            if deadline.passed():
                message = f"still there: {', '.join(left[:5])}"
                raise Failure(finding("deadline-passed", message))
            time.sleep(_POLL_SECONDS)
        notes: list[str] = []
        if others and not request.names:
            left_out = ", ".join(sorted(others))
            notes.append(f"{left_out}: not among the settings' services, and left as it is")
        if purge and whole:
            going = _remove_namespace(request, kube, namespace, notes)
            open_.close()  # nobody can write into what is being removed; the next may be waiting
            if going:
                _await_end(request, kube, going)
                removed.append(f"namespace/{namespace}")
            deployments.forget(namespace)
        found = _volumes_left(request, kube, notes) if purge else []
    kept = "" if purge else "; the data is kept"
    lines = [f"removed {len(removed)} objects{kept}" if removed else "nothing to remove", *notes]
    lines.append(cluster_line(provider, settings))
    details = {"removed": removed, "notes": notes}
    where = reported_cluster(provider, settings)
    return Report("down", findings=found, cluster=where, lines=lines, details=details)


def _volumes_left(request: Request, kube: Kube, notes: list[str]) -> list[Finding]:
    request.say("looking whether the volumes are gone")
    names = [service.name for service in request.services]
    try:
        left = volumes.left(kube, request.settings.cluster.namespace, names, request.deadline)
    except Failure as failure:
        if failure.findings[0].code != "permission-missing":
            raise
        notes.append("whether the volumes are gone is not known: only who may list them can tell")
        return []
    return [volumes.finding_of(kube.context, left)] if left else []


def _owner(item: Object) -> str:
    """The service that an object is of."""
    return text(at(item, "metadata", "labels", "app.kubernetes.io/name"))


def _remaining(
    kube: Kube, namespace: str, names: list[str], objects: list[tuple[str, str]]
) -> list[str]:
    there = scoped(kube, namespace)
    left = [f"{kind.lower()}/{name}" for kind, name in objects if (kind, name) in there]
    for service in names:
        pods = kube.list("Pod", namespace, manifests.pods_text(service))
        left += [f"pod/{pod['metadata']['name']}" for pod in pods]
    return left


def _remove_namespace(
    request: Request, kube: Kube, namespace: str, notes: list[str]
) -> Object | None:
    """Begin to remove the namespace if it is ours and holds nothing of others; which one goes."""
    found = kube.get("Namespace", None, namespace)
    if found is None:
        return None
    if not manifests.in_scope(found):
        notes.append(f"namespace {namespace} stays: `up` did not make it")
        return None
    if not kube.may("delete", "", "namespaces", namespace):
        notes.append(f"namespace {namespace} stays: you have no permission to delete it")
        return None
    try:
        foreign = next(_foreign(kube, namespace), None)
    except Failure as failure:  # such as an aggregated API without its server
        request.deadline.remaining()
        foreign = f"what cannot be listed ({failure.findings[0].message})"
    if foreign is not None:
        notes.append(f"namespace {namespace} stays: it also holds {foreign}")
        return None
    request.say(f"removing namespace {namespace}")
    kube.delete("Namespace", None, namespace)
    return found


def _await_end(request: Request, kube: Kube, going: Object) -> None:
    """Wait until a namespace is gone; one of its name that somebody made since is another."""
    name = name_of(going)
    while (there := kube.get("Namespace", None, name)) and uid_of(there) == uid_of(going):
        if request.deadline.passed():
            raise Failure(finding("namespace-terminating", f"namespace {name} is still there"))
        time.sleep(_POLL_SECONDS)


def _foreign(kube: Kube, namespace: str) -> Iterator[str]:
    """Objects in a namespace that neither carry the scope's label nor belong to one that does."""
    for path, plural in _listable(kube):
        where = f"{path}/namespaces/{namespace}/{plural}"
        items = kube.request("GET", where).get("items", [])
        for item in items:
            meta: Object = item.get("metadata", {})
            if (
                not manifests.in_scope(item)
                and not meta.get("ownerReferences")
                and (plural, meta.get("name")) not in _BORN_WITH
            ):
                yield f"{plural}/{meta.get('name')}"


def _listable(kube: Kube) -> Iterator[tuple[str, str]]:
    groups = kube.request("GET", "apis")["groups"]
    for path in (
        "api/v1",
        *(f"apis/{each['preferredVersion']['groupVersion']}" for each in groups),
    ):
        for each in kube.request("GET", path)["resources"]:
            if each["namespaced"] and "list" in each["verbs"] and each["name"] not in _PASSING:
                yield path, each["name"]
