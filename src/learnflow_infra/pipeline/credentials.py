"""What is made once and kept: the authority that signs certificates, and each service's passwords.

Random values are created, never applied: of two commands at once, one creates and both use its.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.x509 import Authority
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, by_name
from learnflow_infra.kubernetes.secrets import decoded, encoded
from learnflow_infra.pipeline.scope import Changes, Key, foreign, name_of, refusals
from learnflow_infra.services import Secrets, Service
from learnflow_infra.services.shared import authority, passwords
from learnflow_infra.settings import Settings

_MOST_KEYS = 4


@dataclass(frozen=True)
class Credentials:
    """The authority, none without encryption, and each service's credentials by its name."""

    authority: Authority | None
    values: Mapping[str, Mapping[str, str]]

    @property
    def certificate(self) -> str:
        """The certificate that servers are checked by, empty without encryption."""
        return self.authority.pair.certificate if self.authority else ""


def provide(
    kube: Kube,
    settings: Settings,
    services: Sequence[Service],
    live: Mapping[Key, Object],
    changes: Changes,
) -> Credentials:
    """The credentials that are there, and new ones for what lacks them.

    Raises Failure: `setting-fixed`, `password-unusable`, `foreign-object`, `apply-refused`,
    and what the API raises.
    """
    signer = _authority(kube, settings, live, changes) if settings.security.encryption else None

    def one(service: Service) -> dict[str, str]:
        return _credentials(kube, settings, service, live, changes)

    with ThreadPoolExecutor(len(services)) as pool:
        values = list(pool.map(one, services))
    names = [service.name for service in services]
    return Credentials(signer, dict(zip(names, values, strict=True)))


def restart_for_new(
    kube: Kube, settings: Settings, service: Service, live: Mapping[Key, Object], made: Credentials
) -> list[str]:
    """End the pods that run with credentials which were just made anew, as `pod/name`; `live` is
    the scope as it was before."""
    before = decoded(live.get(("Secret", f"{service.name}-credentials"), {}))
    now = made.values[service.name]
    deployed = ("StatefulSet", service.name) in live
    if not deployed or all(before.get(key) == now[key] for key in service.read_at_start):
        return []
    namespace = settings.cluster.namespace
    pods = kube.list("Pod", namespace, manifests.selector_text(service.name))
    names = [each["metadata"]["name"] for each in pods]
    return [f"pod/{name}" for name in names if kube.delete("Pod", namespace, name)]


def read(kube: Kube, settings: Settings, service: Service) -> Secrets:
    """The values of a deployed service's Secrets, which say the same.

    Raises Failure: `connection-missing`, `credentials-missing`, `connection-differs`.
    """
    namespace = settings.cluster.namespace
    found = kube.list("Secret", namespace, manifests.selector_text(service.name))
    there = {name: decoded(each) for name, each in by_name(found).items()}

    def values(what: str) -> dict[str, str]:
        name = f"{service.name}-{what}"
        if name not in there:
            raise _missing(service, what, name)
        return there[name]

    secrets = Secrets(values("connection"), values("credentials"))
    # Of the authority's certificate, the servers' own is the proof.
    known = secrets.credentials
    try:
        wanted = service.connections(settings, known, secrets.connection.get("ca.crt", ""))
    except KeyError as error:
        message = f"the Secret {service.name}-credentials has no {error.args[0]}"
        raise Failure(finding("credentials-missing", message, service=service.name)) from error
    for each in wanted:
        name = each["metadata"]["name"]
        if name not in there:
            raise _missing(service, "connection", name)
        right, held = decoded(each), there[name]
        if keys := [key for key in right if key != "ca.crt" and held.get(key) != right[key]]:
            words = f"the Secret {name} differs in {', '.join(keys[:_MOST_KEYS])}"
            raise Failure(finding("connection-differs", words, service=service.name))
    return secrets


def _missing(service: Service, what: str, name: str) -> Failure:
    message = f"the Secret {name} is not there"
    return Failure(finding(f"{what}-missing", message, service=service.name))


def _authority(
    kube: Kube, settings: Settings, live: Mapping[Key, Object], changes: Changes
) -> Authority:
    """The authority that is there, or a new one."""
    current = live.get(("Secret", authority.SECRET))
    if current is None:
        current = _create(kube, authority.new(settings), changes)
    found = authority.read(decoded(current))
    if found is None:
        new = authority.new(settings)
        _replace(kube, new, current, changes)
        found = authority.read(decoded(new))
        assert found is not None
    return found


def _credentials(
    kube: Kube, settings: Settings, service: Service, live: Mapping[Key, Object], changes: Changes
) -> dict[str, str]:
    """The credentials: each made once, and kept for as long as the settings ask for it."""
    new = service.credentials(settings)
    current = live.get(("Secret", new["metadata"]["name"])) or _create(kube, new, changes)
    values, made = decoded(current), decoded(new)
    for key, value in service.fixed(settings).items():
        if values.get(key, value) != value:
            message = f"{service.name}.{key} is {values[key]} in the data and {value} in settings"
            raise Failure(finding("setting-fixed", message, service=service.name))
    wanted = {key: values.get(key, value) for key, value in made.items()}
    passwords.require_usable(settings, service.name, wanted)
    if wanted != values:
        _replace(kube, new | {"data": encoded(wanted)}, current, changes)
    return wanted


def _create(kube: Kube, manifest: Object, changes: Changes) -> Object:
    """Create a Secret of random values, or, where another command was quicker, take its."""
    meta = manifest["metadata"]
    with refusals(manifest):
        if kube.create(manifest):
            changes.changed.append(name_of(manifest))
            return manifest
    found = kube.get("Secret", meta["namespace"], meta["name"])
    if found is None or not manifests.in_scope(found):
        raise foreign(manifest)
    return found


def _replace(kube: Kube, manifest: Object, current: Object, changes: Changes) -> None:
    """Write a Secret unless another command wrote it since it was read."""
    meta = manifest["metadata"]
    version = {"resourceVersion": current["metadata"]["resourceVersion"]}
    with refusals(manifest):
        kube.replace(manifest | {"metadata": meta | version})
    changes.changed.append(name_of(manifest))
