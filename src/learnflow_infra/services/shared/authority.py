"""The deployment's certificate authority, and the certificates of its servers.

One authority a namespace; its key is in a Secret that nothing mounts, and `up` signs with it. A
server's certificate holds every form of its Services' DNS names, and localhost for `connect`.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence

from learnflow_infra.host.x509 import LOCALHOST, Authority, CertificateAndKey
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.settings import Settings

SECRET = "learnflow-authority"
_AUTHORITY_DAYS = 3650
_SERVER_DAYS = 365
_KIND = "kubernetes.io/tls"  # https://kubernetes.io/docs/concepts/configuration/secret/#tls-secrets


def server_secret(service: str) -> str:
    """The name of the Secret that holds a service's certificate and key."""
    return f"{service}-tls"


def volume(service: str) -> Object:
    """The Secret as a volume `tls`, which the server's group may read."""
    source = {"secretName": server_secret(service), "defaultMode": 0o440}
    return {"name": "tls", "secret": source}


def new(settings: Settings) -> Object:
    """The Secret of a new authority."""
    name = f"learnflow-infra in namespace {settings.cluster.namespace}"
    values = _values(Authority.new(name[:64], _AUTHORITY_DAYS).pair)
    return manifests.secret(settings, manifests.SHARED, SECRET, values, kind=_KIND, data=True)


def read(values: Mapping[str, str]) -> Authority | None:
    """The authority of a Secret's values; None where it is damaged, or would end before a
    certificate that it signs."""
    try:
        authority = Authority(_pair(values))
    except (KeyError, ValueError):
        return None
    left = authority.certificate.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    return authority if left > datetime.timedelta(days=_SERVER_DAYS) else None


def certified(
    settings: Settings,
    service: str,
    names: Sequence[str],
    authority: Authority,
    current: Mapping[str, str],
) -> Object:
    """A service's certificate Secret: with the current certificate where that is good for a while,
    else with a new one."""
    try:
        renew = authority.needs_renewal(_pair(current), names)
    except KeyError:
        renew = True
    pair = (
        authority.issue(service, _SERVER_DAYS, alternatives=names, client=False)
        if renew
        else _pair(current)
    )
    values = _values(pair) | {"ca.crt": authority.pair.certificate}
    values["tls.pem"] = pair.key + pair.certificate  # the one file that a Java server reads
    return manifests.secret(settings, service, server_secret(service), values, kind=_KIND)


def names(objects: Iterable[Object], pods: Iterable[str]) -> list[str]:
    """What clients call a server: each of its Services, its pods behind a headless one, localhost.

    https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
    """
    services = [each for each in objects if each["kind"] == "Service"]
    hosts = []
    for service in services:
        name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
        domains = [name, f"{name}.{namespace}", f"{name}.{namespace}.svc"]
        domains.append(f"{domains[-1]}.cluster.local")
        hosts += domains
        if service["spec"].get("clusterIP") == "None":
            hosts += [f"{pod}.{domain}" for pod in pods for domain in domains]
    return [*hosts, "localhost", LOCALHOST]


def _pair(values: Mapping[str, str]) -> CertificateAndKey:
    return CertificateAndKey(values["tls.crt"], values["tls.key"])


def _values(pair: CertificateAndKey) -> dict[str, str]:
    return {"tls.crt": pair.certificate, "tls.key": pair.key}
