"""The services' own tools, in the client's pod and with the login; their arguments are theirs."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from learnflow_infra import cluster
from learnflow_infra.commands import Request
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.pipeline.prove import no_client


def run(request: Request, service_name: str, tool: str, arguments: Sequence[str]) -> NoReturn:
    """Become the tool, with its output and its exit code. Raises Failure(usage, client-missing)."""
    settings, deadline = request.settings, request.deadline
    service = next((each for each in request.services if each.name == service_name), None)
    if service is None:
        raise Failure(finding("usage", f"{service_name!r} is no service of the settings"))
    tools = service.tools(settings)
    if tool not in tools:
        message = f"{tool!r} is no tool of {service_name}'s; there are {', '.join(tools)}"
        raise Failure(finding("usage", message))
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    namespace, client = settings.cluster.namespace, manifests.client_of(service_name)
    with request.api(provider) as kube:
        if kube.get("StatefulSet", namespace, client) is None:
            raise Failure(no_client(service))
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    argv = [
        *provider.kubectl,
        f"--context={provider.context}",
        f"--namespace={namespace}",
        "exec",
        "-it" if terminal else "-i",
        f"{client}-0",
        "--",
        *tools[tool],
        *arguments,
    ]
    os.execvp(argv[0], argv)
