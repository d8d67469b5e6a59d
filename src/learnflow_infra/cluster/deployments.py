"""That no remedy leads to another cluster in silence: where each namespace was deployed last, and
by which settings file, as a cluster that was deleted or stopped gives way to the next that is
found; and which context a remedy's kubectl is told."""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from learnflow_infra.findings.failures import Finding
from learnflow_infra.host import paths
from learnflow_infra.kubernetes.objects import at, text

_DEPLOYS = "`learnflow-infra up`"
# As a command, where a code span begins or after a pipe.
_KUBECTL = re.compile(r"(?<=[`|])( ?)kubectl (?!--context)(?=[-a-z])")


@dataclass(frozen=True)
class Deployment:
    """An `up`: the context that it went to, and the path of its settings, empty without a file."""

    context: str
    settings: str = ""


def last(namespace: str) -> Deployment | None:
    """The last `up`; None if there was none, or its data was purged since."""
    return _read().get(namespace)


def record(namespace: str, deployment: Deployment) -> None:
    """Remember an `up`. Where that cannot be written, nothing depends on it."""
    _write(_read() | {namespace: deployment})


def forget(namespace: str) -> None:
    """Nothing is deployed any more."""
    _write({name: each for name, each in _read().items() if name != namespace})


def warned(findings: Iterable[Finding], namespace: str, context: str | None) -> list[Finding]:
    """The findings; a remedy that deploys says first if the last deployment was elsewhere.

    `context` is the one that they are of, None where none was reached.
    """
    before = last(namespace)
    if before is None or before.context == context:
        return list(findings)
    lead = (
        f"The last {_DEPLOYS} of namespace {namespace} went to the context {before.context}: start "
        "that cluster, or name the one that is meant with --cluster or --context. Else: "
    )
    return [
        replace(each, remedy=lead + each.remedy) if _DEPLOYS in each.remedy else each
        for each in findings
    ]


def in_context(findings: Iterable[Finding], context: str) -> list[Finding]:
    """The findings; a remedy's kubectl is told the context."""

    def told(kubectl: re.Match[str]) -> str:
        return f"{kubectl[0]}--context {shlex.quote(context)} "

    return [replace(each, remedy=_KUBECTL.sub(told, each.remedy)) for each in findings]


def says_kubectl(findings: Iterable[Finding]) -> bool:
    """Whether a remedy has a kubectl that is told no context."""
    return any(_KUBECTL.search(each.remedy) for each in findings)


def _file() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "learnflow-infra" / "deployments.json"


def _read() -> dict[str, Deployment]:
    try:
        found = json.loads(_file().read_text())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        namespace: Deployment(context, text(at(value, "settings")))
        for namespace, value in found.items()
        if (context := text(at(value, "context")))
    }


def _write(deployments: dict[str, Deployment]) -> None:
    if deployments == _read():
        return
    with suppress(OSError):
        _file().parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        paths.write(
            _file(),
            json.dumps({name: asdict(each) for name, each in deployments.items()}, indent=1),
        )
