"""How running nodes take up the certificate in their Secret: no connection ends.

A broker reads a listener's files again whenever the setting that
names them is written, even with the value that it has.
"""

from __future__ import annotations

import contextlib
import dataclasses
import ssl
import time
from collections.abc import Iterator, Mapping
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.routes import DialError, FromHost, Route
from learnflow_infra.services import Access
from learnflow_infra.services.kafka.client import Client
from learnflow_infra.services.kafka.config import CERTIFICATE_FOLDER, PORTS, reloading
from learnflow_infra.services.kafka.errors import restart
from learnflow_infra.services.shared import rotation, tls
from learnflow_infra.services.shared.unreachable import label, unreachable

# Says + once the file has the words. Reading from a pipe that stays empty is a sleep.
_AWAIT = """\
exec 9<> <(:)
for ((n = 0; n < $3; n++)); do
  [ "$(<"$1")" = "$2" ] && printf + && exit
  read -rt 0.05 -u 9
done
"""


def renew(access: Access, client: Client, admin: Any, pods: Mapping[str, str]) -> list[str]:
    """Let every node present the certificate of the Secret; says which did not.

    `client` has met every node; `pods` are theirs, by the names that it met them under. Raises
    Failure: `certificate-pending`, and `certificate-authority` where nodes were started under
    another authority: they could not trust what they would present to each other.
    """
    wanted = rotation.wanted(access, "kafka").strip()
    stale = {
        node: pod
        for node, (host, pod) in enumerate(pods.items())
        if client.certificates[host].encoded != ssl.PEM_cert_to_DER_cert(wanted)
    }
    for node, pod in stale.items():
        _require_same_authority(access, pod)
        _bring(access, pod, wanted)
        _reload(admin, node)
    for pod in stale.values():
        while not _presents(access, pod, wanted):
            access.deadline.remaining()
            time.sleep(rotation.POLL_SECONDS)
    return [f"certificate of {pod}" for pod in stale.values()]


def _presents(access: Access, pod: str, wanted: str) -> bool:
    """Whether all of a pod's listeners have the certificate."""
    wanted_bytes = ssl.PEM_cert_to_DER_cert(wanted)
    for port in PORTS.values():
        with _session(access, *_listener(access, pod, port), tls.lax()) as session:
            if session.getpeercert(binary_form=True) != wanted_bytes:
                return False
    return True


def _require_same_authority(access: Access, pod: str) -> None:
    context = tls.strict(access.connection.get("ca.crt", ""), "kafka")
    try:
        with _session(access, *_listener(access, pod, PORTS["BROKER"]), context):
            pass
    except Failure as failure:
        found = failure.findings[0]
        if found.code == "certificate-authority":
            remedy = restart(access.settings)
            raise Failure(dataclasses.replace(found, remedy=remedy)) from failure


def _listener(access: Access, pod: str, port: int) -> tuple[Route, str]:
    """The way to a listener of a pod, and its address on that way."""
    address = f"{pod}:{port}"
    return FromHost(access.kube, access.settings.cluster.namespace, {address: (pod, port)}), address


@contextlib.contextmanager
def _session(
    access: Access, route: Route, address: str, context: ssl.SSLContext
) -> Iterator[ssl.SSLSocket]:
    host, _, port = address.rpartition(":")
    where = f"{label(route)}, {address}"
    try:
        connection = route.dial(host, int(port))
    except DialError as error:
        raise Failure(unreachable("kafka", route, address, str(error))) from error
    with connection:
        connection.settimeout(access.deadline.remaining())
        try:
            session = context.wrap_socket(connection, server_hostname=host)
        except OSError as error:
            slow = isinstance(error, TimeoutError)
            code = "service-slow" if slow else "connection-lost"
            found = finding(code, f"{where}: {error}"[:300], service="kafka")
            raise Failure(tls.refused(error, where, "kafka") or found) from error
        with session:
            yield session


def _bring(access: Access, pod: str, wanted: str) -> None:
    """Wait until a pod has the certificate."""
    rounds = rotation.begin(access, pod)
    file = f"{CERTIFICATE_FOLDER}/tls.crt"
    command = ["bash", "-c", _AWAIT, "bash", file, wanted, str(rounds)]
    stream = access.kube.exec(access.settings.cluster.namespace, pod, "kafka", command)
    try:
        answer = stream.receive(access.deadline.remaining())
    except (TimeoutError, OSError) as error:
        message = f"pod {pod} did not say which certificate it has"
        raise rotation.pending("kafka", message) from error
    finally:
        stream.close()
    if answer != (1, b"+"):
        raise rotation.pending(
            "kafka", f"pod {pod} does not have the certificate of its Secret yet"
        )


def _reload(admin: Any, node: int) -> None:
    from kafka.admin import ConfigResource, ConfigResourceType

    resource = ConfigResource(ConfigResourceType.BROKER, str(node), reloading())
    answer = admin.alter_configs([resource], raise_on_unknown=False)["broker"][str(node)]
    if answer != "OK":
        message = f"node {node} does not read its certificate again: {answer}"
        raise Failure(finding("reconcile-failed", message[:300], service="kafka"))
