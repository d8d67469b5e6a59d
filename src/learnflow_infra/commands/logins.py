"""Clients' logins to what is deployed, as `connect` and `env` give them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from learnflow_infra.cluster import Provider
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import paths
from learnflow_infra.services import Form, Service
from learnflow_infra.settings import Settings


def on_host(
    provider: Provider, settings: Settings, service: Service, connection: Mapping[str, str]
) -> Mapping[str, Form]:
    """The forms of a login through `connect`. Raises Failure(folder-unwritable)."""
    file = authority_file(provider, settings, connection)
    return service.forms(settings, connection, file, host=True)


def in_cluster(
    settings: Settings, service: Service, connection: Mapping[str, str]
) -> Mapping[str, Form]:
    """The forms of a login in a pod that has the Secret mounted as the skills' references show."""
    file = f"/etc/{service.name}-connection/ca.crt"
    return service.forms(settings, connection, file, host=False)


def authority_file(provider: Provider, settings: Settings, connection: Mapping[str, str]) -> str:
    """Leave the authority's certificate where a client can name it, and say where; empty without
    encryption. Raises Failure(folder-unwritable)."""
    if not (certificate := connection.get("ca.crt")):
        return ""
    folder = paths.cache() / "authorities"
    place = hashlib.sha256(provider.context.encode()).hexdigest()[:8]
    file = folder / f"{settings.cluster.namespace}-{place}.crt"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.write(file, certificate)
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror}"
        raise Failure(finding("folder-unwritable", message)) from error
    return str(file)
