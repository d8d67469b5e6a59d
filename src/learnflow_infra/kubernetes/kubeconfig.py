"""What the kubeconfig says of one context, as kubectl itself reads it. No secret is among it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, run
from learnflow_infra.kubernetes.objects import Object, at, objects, text

_SECONDS = 5.0


@dataclass(frozen=True)
class Entry:
    """The parts that say why a request did not get through; what is not there is empty."""

    server: str = ""
    """The API server's URL."""
    proxy: str = ""
    """The proxy that this cluster has of its own (`proxy-url`)."""
    plugin: str = ""
    """The command of the credential plug-in."""
    hint: str = ""
    """How the plug-in is installed (`installHint`)."""


def read(kubectl: Sequence[str], context: str) -> Entry:
    """The entry of a context; an empty one where it cannot be read."""
    argv = [*kubectl, "config", "view", "--minify", f"--context={context}", "--output=json"]
    try:
        answer = json.loads(run(argv, deadline=Deadline(_SECONDS)).stdout)
    except (CommandFailed, Failure, ValueError):
        return Entry()
    cluster, user = _first(answer, "cluster"), _first(answer, "user")
    return Entry(
        server=text(cluster.get("server")),
        proxy=text(cluster.get("proxy-url")),
        plugin=text(at(user, "exec", "command")),
        hint=" ".join(text(at(user, "exec", "installHint")).split()),
    )


def current_context(kubectl: Sequence[str]) -> str:
    """The context that kubectl uses unless told otherwise; empty where there is none."""
    try:
        done = run([*kubectl, "config", "current-context"], deadline=Deadline(_SECONDS))
    except (CommandFailed, Failure):
        return ""
    return done.stdout.strip()


def login_command(context: str) -> str:
    """What logs in to a context, for a user at a terminal."""
    return f"`{shlex.join(('kubectl', '--context', context, 'get', 'namespaces'))}`"


def _first(config: object, kind: str) -> Object:
    found = next(objects(at(config, f"{kind}s")), {})
    inner = at(found, kind)
    return inner if isinstance(inner, dict) else {}
