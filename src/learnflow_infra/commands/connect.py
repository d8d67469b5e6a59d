"""`connect`: the services' ports on localhost, until interrupted or while a command runs."""

from __future__ import annotations

import contextlib
import errno
import shlex
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from learnflow_infra import cluster
from learnflow_infra.commands import Request, cluster_line, logins, reported_cluster
from learnflow_infra.diagnosis.state import judge
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import interruption, process
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.listener import Listener
from learnflow_infra.kubernetes.routes import DialError, FromHost, on_localhost
from learnflow_infra.pipeline import credentials
from learnflow_infra.pipeline.prove import ROUND_TRIP_SECONDS
from learnflow_infra.report import Report
from learnflow_infra.services import Access, Service
from learnflow_infra.settings import Settings

_LOCALHOST = ("127.0.0.1", "::1")
# A machine may have no IPv6.
_NO_SUCH_ADDRESS = {errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL}


def connect(request: Request) -> Report:
    """Open the ports, show a report of what a client needs, and serve until interrupted; or run a
    command with the logins in its environment, and end as it does.

    Each connection is a port-forward of its own, so that a restarted pod breaks no later one.
    """
    settings, deadline = request.settings, request.deadline
    namespace = settings.cluster.namespace
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    with (
        request.api(provider) as kube,
        contextlib.ExitStack() as open_,
    ):
        hints = {}
        lines = []
        variables: dict[str, str] = {}
        for service in request.services:
            _require_deployed(kube, settings, service)
            secrets = credentials.read(kube, settings, service)
            ports = service.host_ports(settings)
            route = FromHost(kube, namespace, on_localhost(ports))
            step = deadline.within(ROUND_TRIP_SECONDS, "the login", code="service-slow")
            service.log_in(Access(kube, settings, secrets, step), route)
            for port in ports:
                for listener in _listeners(service, route, port):
                    open_.enter_context(listener)
            if request.options["run"]:
                forms = logins.on_host(provider, settings, service, secrets.connection)
                variables |= cast("Mapping[str, str]", forms["env"])
                continue
            file = logins.authority_file(provider, settings, secrets.connection)
            hint = dict(service.client_hint(settings, file))
            secret = f"{service.name}-connection"
            hints[service.name] = hint | {"secret": secret}
            lines += [f"{service.name}:", *(f"  {key}={value}" for key, value in hint.items())]
            if "user" in hint:
                command = _password_command(provider.context, namespace, secret)
                lines.append(f"  password: {command}")
        if command := request.options["run"]:
            return Report("connect", ended=_run(command, variables, kube, deadline))
        lines.append(cluster_line(provider, settings))
        lines.append("open until interrupted (Ctrl-C)")
        request.show(
            Report(
                "connect",
                cluster=reported_cluster(provider, settings),
                lines=lines,
                details={"connections": hints},
            )
        )
        while not interruption.begun.wait(1):
            deadline.remaining()
            kube.require_alive()
        raise interruption.failure()


def _run(
    command: Sequence[str], variables: Mapping[str, str], kube: Kube, deadline: Deadline
) -> int:
    """Run a command to its end; its exit code, as shells tell it. Raises Failure(usage), and what
    ends the connections, after ending the command."""
    try:
        child = process.attach(command, variables)
    except OSError as error:
        raise Failure(finding("usage", f"{command[0]}: {error.strerror}")) from error
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = child.wait(1)
                return code if code >= 0 else 128 - code
            deadline.remaining()
            kube.require_alive()
    finally:
        process.detach(child)


def _require_deployed(kube: Kube, settings: Settings, service: Service) -> None:
    namespace = settings.cluster.namespace
    workload = kube.get("StatefulSet", namespace, service.name)
    pods = kube.list("Pod", namespace, manifests.selector_text(service.name))
    state = judge(service.name, workload, pods, len(service.pods(settings)))
    if state.ready == 0:
        message = f"{service.name}: no pod is ready"
        raise Failure(
            *(state.findings or (finding("pods-not-ready", message, service=service.name),))
        )


def _password_command(context: str, namespace: str, secret: str) -> str:
    """What prints the password, as a line for a shell."""
    kubectl = ("kubectl", "--context", context, "-n", namespace, "get", "secret", secret)
    return f"{shlex.join((*kubectl, '-o', 'jsonpath={.data.password}'))} | base64 -d"


def _listeners(service: Service, route: FromHost, port: int) -> Iterator[Listener]:
    """One for each address that clients take `localhost` for. Raises Failure(host-port-taken)."""

    def handle(client: socket.socket) -> None:
        try:
            route.carry(client, "localhost", port)
        except (DialError, Failure):
            client.close()

    for address in _LOCALHOST:
        try:
            yield Listener(handle, port, address)
        except OSError as error:
            if error.errno in _NO_SUCH_ADDRESS:
                continue
            message = f"port {port} on localhost ({address}) cannot be opened: {error.strerror}"
            raise Failure(finding("host-port-taken", message, service=service.name)) from error
