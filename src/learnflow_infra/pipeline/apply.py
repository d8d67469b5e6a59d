"""Desired objects made so in the cluster: applied where they differ, pruned where they left.

What is as desired is not written at all. Only objects that carry the scope's label are ever
changed or deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from learnflow_infra.diagnosis.reasons import cause_of
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.x509 import Authority
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import FIELD_MANAGER, ApiError, Kube
from learnflow_infra.kubernetes.secrets import decoded, encoded
from learnflow_infra.services import Object, Secrets, Service
from learnflow_infra.services.shared import authority
from learnflow_infra.settings import SCOPE, Settings

# Remembers all that was applied, so that a field no longer desired is noticed as well.
_APPLIED = "learnflow-app/applied"
_KINDS = (
    *("Secret", "ConfigMap", "NetworkPolicy", "Service"),
    *("StatefulSet", "PersistentVolumeClaim"),
)

Key = tuple[str, str]


@dataclass
class Applied:
    """What an apply wrote, and the values of each service's Secrets."""

    changed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    secrets: dict[str, Secrets] = field(default_factory=dict)


def apply(kube: Kube, settings: Settings, services: Sequence[Service]) -> Applied:
    """Make the services' objects so.

    Raises Failure: `foreign-object`, `setting-fixed`, `apply-refused`, and what the API raises.
    """
    result = Applied()
    namespace = settings.cluster.namespace
    existing = kube.get("Namespace", None, namespace)
    if existing and existing["metadata"].get("deletionTimestamp"):
        raise Failure(finding("namespace-terminating", f"namespace {namespace} is being deleted"))
    if existing is None or manifests.in_scope(existing):
        _write(kube, manifests.namespace(settings), existing, result, existing is None)
    live = scoped(kube, namespace) if existing else {}
    fresh = existing is None
    signer = _authority(kube, settings, live, result) if settings.security.encryption else None

    def one(service: Service) -> Applied:
        own = Applied()
        credentials = _credentials(kube, settings, service, live, own)
        certificate = signer.pair.certificate if signer else ""
        connections = service.connections(settings, credentials, certificate)
        objects = service.objects(settings)
        desired = [*connections, *objects]
        if signer:
            there = decoded(live.get(("Secret", authority.server_secret(service.name)), {}))
            names = authority.names(objects, service.pods(settings))
            made = authority.certified(settings, service.name, names, signer, there)
            desired.insert(0, made)
        for manifest in desired:
            current = live.get((manifest["kind"], manifest["metadata"]["name"]))
            _write(kube, manifest, current, own, fresh)
        _prune(kube, service, live, desired, own)
        own.secrets[service.name] = Secrets(decoded(connections[0]), credentials)
        return own

    with ThreadPoolExecutor(len(services)) as pool:
        for own in pool.map(one, services):
            result.changed += own.changed
            result.pruned += own.pruned
            result.secrets |= own.secrets
    return result


def scoped(kube: Kube, namespace: str) -> dict[Key, Object]:
    """All objects of the scope in a namespace, by kind and name."""
    return {
        (kind, item["metadata"]["name"]): item | {"kind": kind}
        for kind in _KINDS
        for item in kube.list(kind, namespace, manifests.SCOPE_SELECTOR)
    }


def secrets(kube: Kube, settings: Settings, service: Service) -> Secrets:
    """The values of a deployed service's Secrets.

    Raises Failure: `connection-missing`, `credentials-missing`.
    """

    def values(what: str) -> dict[str, str]:
        name = f"{service.name}-{what}"
        secret = kube.get("Secret", settings.cluster.namespace, name)
        if secret is None:
            message = f"the Secret {name} is not there"
            raise Failure(finding(f"{what}-missing", message, service=service.name))
        return decoded(secret)

    return Secrets(values("connection"), values("credentials"))


def _authority(
    kube: Kube, settings: Settings, live: Mapping[Key, Object], result: Applied
) -> Authority:
    """The authority that is there, or a new one."""
    current = live.get(("Secret", authority.SECRET))
    if current is None:
        current = _once(kube, authority.new(settings), result)
    found = authority.read(decoded(current))
    if found is None:
        new = authority.new(settings)
        _replace(kube, new, current, result)
        found = authority.read(decoded(new))
        assert found is not None
    return found


def _credentials(
    kube: Kube, settings: Settings, service: Service, live: Mapping[Key, Object], result: Applied
) -> dict[str, str]:
    """The credentials: each made once, and kept for as long as the settings ask for it."""
    new = service.credentials(settings)
    current = live.get(("Secret", new["metadata"]["name"])) or _once(kube, new, result)
    values, made = decoded(current), decoded(new)
    for key, value in service.fixed(settings).items():
        if values.get(key, value) != value:
            message = f"{service.name}.{key} is {values[key]} in the data and {value} in settings"
            raise Failure(finding("setting-fixed", message, service=service.name))
    wanted = {key: values.get(key, value) for key, value in made.items()}
    if wanted != values:
        _replace(kube, new | {"data": encoded(wanted)}, current, result)
    return wanted


def _once(kube: Kube, manifest: Object, result: Applied) -> Object:
    """Create a Secret of random values, or, where another command was quicker, take its."""
    meta = manifest["metadata"]
    with _refusals(manifest):
        if kube.create(manifest):
            result.changed.append(_named(manifest))
            return manifest
    found = kube.get("Secret", meta["namespace"], meta["name"])
    if found is None or not manifests.in_scope(found):
        raise _foreign(manifest)
    return found


def _replace(kube: Kube, manifest: Object, current: Object, result: Applied) -> None:
    """Write a Secret unless another command wrote it since it was read."""
    meta = manifest["metadata"]
    version = {"resourceVersion": current["metadata"]["resourceVersion"]}
    with _refusals(manifest):
        kube.replace(manifest | {"metadata": meta | version})
    result.changed.append(_named(manifest))


def _write(
    kube: Kube, manifest: Object, current: Object | None, result: Applied, fresh: bool
) -> None:
    """Write an object that is not as desired. In a `fresh` namespace nothing else can be."""
    meta = manifest["metadata"]
    kind, name = manifest["kind"], meta["name"]
    if current is None and not fresh and kube.get(kind, meta.get("namespace"), name) is not None:
        raise _foreign(manifest)
    if current is not None:
        mark = current["metadata"].get("annotations", {}).get(_APPLIED)
        if mark == _digest(manifest) and _is_so(manifest, current):
            return
    with _refusals(manifest):
        kube.apply(marked(manifest))
    result.changed.append(_named(manifest))


@contextlib.contextmanager
def _refusals(manifest: Object) -> Iterator[None]:
    """The API server's refusal of a write as a Failure."""
    try:
        yield
    except ApiError as error:
        service = manifest["metadata"]["labels"]["app.kubernetes.io/name"]
        if error.code == 422 and "updates to statefulset spec" in error.message:
            reason = "a volume's size and class cannot change while its data is kept"
            found = finding("setting-fixed", f"{_named(manifest)}: {reason}", service=service)
        else:
            said = f"{_named(manifest)}: {error.message}"
            cause = cause_of("Refused", error.message)
            found = finding(cause[0] if cause else "apply-refused", said, service=service)
        raise Failure(found) from error


def _foreign(manifest: Object) -> Failure:
    where = manifest["metadata"].get("namespace", "the cluster")
    message = f"{_named(manifest)} in {where} is there and does not carry the scope's label"
    return Failure(finding("foreign-object", message))


def _named(manifest: Object) -> str:
    return f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"


def _prune(
    kube: Kube,
    service: Service,
    live: Mapping[Key, Object],
    desired: Iterable[Object],
    result: Applied,
) -> None:
    wanted = {(each["kind"], each["metadata"]["name"]) for each in desired}
    for (kind, name), item in live.items():
        meta = item["metadata"]
        labels = meta["labels"]
        ours = any(each.get("manager") == FIELD_MANAGER for each in meta.get("managedFields", ()))
        if (
            ours
            and (kind, name) not in wanted
            and labels.get("app.kubernetes.io/name") == service.name
            and manifests.DATA_LABEL not in labels
            and kube.delete(kind, meta["namespace"], name)
        ):
            result.pruned.append(f"{kind.lower()}/{name}")


def _is_so(manifest: Object, current: Object) -> bool:
    # What is added to a policy opens something.
    if manifest["kind"] == "NetworkPolicy" and manifest["spec"] != current["spec"]:
        return False
    # The items of a list do not carry their type.
    contents = {key: value for key, value in manifest.items() if key not in ("apiVersion", "kind")}
    return satisfied(contents, current)


def satisfied(desired: Any, live: Any) -> bool:
    """Whether everything desired is there; what others added does not matter."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            key in live and satisfied(value, live[key]) for key, value in desired.items()
        )
    if isinstance(desired, list) and isinstance(live, list):
        if all(isinstance(each, dict) for each in desired):
            return all(any(satisfied(one, other) for other in live) for one in desired)
        return desired == live
    return bool(desired == live)


def marked(manifest: Object) -> Object:
    """A manifest as it is written: with the mark by which it is known again as applied."""
    mark = {_APPLIED: _digest(manifest)}
    return manifest | {"metadata": manifest["metadata"] | {"annotations": mark}}


def _digest(manifest: Object) -> str:
    """A short hash of all that is desired but a Secret's values, which are compared themselves."""
    public = {key: value for key, value in manifest.items() if key != "data"}
    if manifest["kind"] != "Secret":
        public = manifest
    text = json.dumps(public, sort_keys=True)
    return hashlib.sha256(f"{SCOPE} {text}".encode()).hexdigest()[:16]
