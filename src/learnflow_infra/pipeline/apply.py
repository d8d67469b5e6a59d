"""Desired objects made so in the cluster: applied where they differ, pruned where they left.

What is as desired is not written at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import FIELD_MANAGER, Kube
from learnflow_infra.kubernetes.objects import Object, at, mapping, number, satisfied
from learnflow_infra.kubernetes.objects import objects as items_of
from learnflow_infra.kubernetes.secrets import decoded
from learnflow_infra.pipeline import declared
from learnflow_infra.pipeline.credentials import Credentials
from learnflow_infra.pipeline.scope import (
    Changes,
    Key,
    Scope,
    foreign,
    name_of,
    refusals,
    scoped,
    terminating,
)
from learnflow_infra.services import Secrets, Service
from learnflow_infra.services.shared import authority
from learnflow_infra.settings import SCOPE, Settings

# Remembers all that was applied, so that a field no longer desired is noticed as well.
_APPLIED = "learnflow-app/applied"


def namespace(kube: Kube, settings: Settings, changes: Changes) -> bool:
    """Make the namespace so; whether it was not there before.

    A namespace of somebody else's is used as it is. Raises Failure: `namespace-terminating`,
    `apply-refused`, and what the API raises.
    """
    name = settings.cluster.namespace
    existing = kube.get("Namespace", None, name)
    if at(existing, "metadata", "deletionTimestamp"):
        raise terminating(name)
    if existing is None or manifests.in_scope(existing):
        _write(kube, manifests.namespace(settings), existing, changes, fresh=existing is None)
    return existing is None


def settings_record(kube: Kube, settings: Settings, changes: Changes, *, fresh: bool) -> Scope:
    """Record which settings are made so; returns what is in the namespace, nothing in a fresh one.

    Raises Failure: `foreign-object`, `apply-refused`, and what the API raises.
    """
    name = settings.cluster.namespace
    scope = Scope({} if fresh else scoped(kube, name), fresh=fresh)
    if settings.file is not None:
        made = declared.record(settings)
        current = scope.objects.get((made["kind"], made["metadata"]["name"]))
        changes.notes += declared.kept(current, settings)
        _write(kube, made, current, changes, fresh=scope.fresh)
    return scope


def objects(
    kube: Kube,
    settings: Settings,
    services: Sequence[Service],
    credentials: Credentials,
    scope: Scope,
    changes: Changes,
) -> dict[str, Secrets]:
    """Make the services' objects so; returns the values of each service's Secrets by its name.

    Raises Failure: `foreign-object`, `setting-fixed`, `apply-refused`, and what the API raises.
    """
    live = scope.objects

    def one(service: Service) -> tuple[Changes, Secrets]:
        own = Changes()
        values = credentials.values[service.name]
        now = datetime.now(UTC).isoformat()
        connections = [
            manifests.dated(each, live.get(("Secret", each["metadata"]["name"])), now)
            for each in service.connections(settings, values, credentials.certificate)
        ]
        others = service.objects(settings)
        desired = [*connections, *others]
        if credentials.authority:
            there = decoded(live.get(("Secret", authority.server_secret(service.name)), {}))
            names = authority.names(others, service.pods(settings))
            signer = credentials.authority
            made = authority.certified(settings, service.name, names, signer, there)
            desired.insert(0, made)
        for manifest in desired:
            current = live.get((manifest["kind"], manifest["metadata"]["name"]))
            _write(kube, manifest, current, own, fresh=scope.fresh)
        _prune(kube, service, live, desired, own)
        own.notes += _given_up(service, live, others)
        return own, Secrets(decoded(connections[0]), values)

    secrets = {}
    with ThreadPoolExecutor(len(services)) as pool:
        for service, (own, values) in zip(services, pool.map(one, services), strict=True):
            changes.add(own)
            secrets[service.name] = values
    return secrets


def _given_up(
    service: Service, live: Mapping[Key, Object], desired: Sequence[Object]
) -> Iterator[str]:
    """Of pods that are too many: clients may have written to their volumes."""
    wanted = {each["metadata"]["name"]: each for each in desired if each["kind"] == "StatefulSet"}
    for name, manifest in wanted.items():
        there = number(at(live.get(("StatefulSet", name), {}), "spec", "replicas"))
        kept = manifest["spec"]["replicas"]
        claims = [
            f"{template['metadata']['name']}-{name}-{ordinal}"
            for ordinal in range(kept, there)
            for template in manifest["spec"].get("volumeClaimTemplates", ())
        ]
        if left := [each for each in claims if ("PersistentVolumeClaim", each) in live]:
            yield (
                f"{service.name} was scaled to {there} pods and is scaled back to {kept}; what was "
                f"written to the others is kept in {', '.join(left[:3])}"
            )


def _write(
    kube: Kube, manifest: Object, current: Object | None, changes: Changes, *, fresh: bool
) -> None:
    """Write an object that is not as desired. In a `fresh` namespace nothing else can be."""
    meta = manifest["metadata"]
    kind, name = manifest["kind"], meta["name"]
    if current is None and not fresh:
        # Another command may have been first.
        current = kube.get(kind, meta.get("namespace"), name)
        if current is not None and not manifests.in_scope(current):
            raise foreign(manifest)
    if current is not None:
        mark = at(current, "metadata", "annotations", _APPLIED)
        if mark == _digest(manifest) and _is_so(manifest, current):
            return
    with refusals(manifest):
        kube.apply(marked(manifest))
    changes.changed.append(name_of(manifest))


def _prune(
    kube: Kube,
    service: Service,
    live: Mapping[Key, Object],
    desired: Iterable[Object],
    changes: Changes,
) -> None:
    wanted = {(each["kind"], each["metadata"]["name"]) for each in desired}
    for (kind, name), item in live.items():
        labels = mapping(at(item, "metadata", "labels"))
        managers = items_of(at(item, "metadata", "managedFields"))
        ours = any(each.get("manager") == FIELD_MANAGER for each in managers)
        if (
            ours
            and (kind, name) not in wanted
            and labels.get("app.kubernetes.io/name") == service.name
            and manifests.DATA_LABEL not in labels
            and kube.delete(kind, at(item, "metadata", "namespace"), name)
        ):
            changes.pruned.append(f"{kind.lower()}/{name}")


def _is_so(manifest: Object, current: Object) -> bool:
    # What is added to a policy opens something.
    if manifest["kind"] == "NetworkPolicy" and manifest["spec"] != current.get("spec"):
        return False
    # The items of a list do not carry their type.
    contents = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    return satisfied(contents, current)


def marked(manifest: Object) -> Object:
    """A manifest as it is written: with the mark by which it is known again as applied."""
    meta = manifest["metadata"]
    marks = meta.get("annotations", {}) | {_APPLIED: _digest(manifest)}
    return manifest | {"metadata": meta | {"annotations": marks}}


def _digest(manifest: Object) -> str:
    """A short hash of all that is desired but a Secret's values, which are compared themselves."""
    public = {key: value for key, value in manifest.items() if key != "data"}
    if manifest["kind"] != "Secret":
        public = manifest
    text = json.dumps(public, sort_keys=True)
    return hashlib.sha256(f"{SCOPE} {text}".encode()).hexdigest()[:16]
