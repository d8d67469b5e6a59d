"""The cluster's context in the user's kubeconfig, put there and taken out with kubectl itself.

One that is there is left as it is: the user may have given it other credentials, with fewer
permissions.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import layout
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, run

_NAME = layout.NAME
_NOTE = layout.STATE / "kubeconfig"  # which file has the context, and its state then


def add(kubectl: tuple[str, ...], deadline: Deadline) -> None:
    """Add the context if it is not there; make it the current one only if there is none.

    Raises Failure(local-cluster-context-taken, kubeconfig-unusable).
    """
    path = _persons()
    if _NOTE.exists() and _NOTE.read_text() == _state(path):
        return
    config = _read(kubectl, path, deadline)
    for cluster in config.get("clusters") or []:
        if cluster["name"] == _NAME and cluster["cluster"].get("server") != layout.API_SERVER:
            raise Failure(
                finding(
                    "local-cluster-context-taken",
                    f"{path} has a cluster named {_NAME} that is another one",
                )
            )
    if _is_there(config):
        _NOTE.write_text(_state(path))
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    embed = "--embed-certs=true"
    _config(
        *(kubectl, path, deadline, "set-cluster", _NAME, f"--server={layout.API_SERVER}"),
        *(f"--certificate-authority={layout.PKI / 'ca.crt'}", embed),
    )
    _config(
        *(kubectl, path, deadline, "set-credentials", _NAME),
        f"--client-certificate={layout.PKI / 'admin.crt'}",
        *(f"--client-key={layout.PKI / 'admin.key'}", embed),
    )
    _config(kubectl, path, deadline, "set-context", _NAME, f"--cluster={_NAME}", f"--user={_NAME}")
    if not config.get("current-context"):
        _config(kubectl, path, deadline, "use-context", _NAME)
    _NOTE.write_text(_state(path))


def remove(kubectl: tuple[str, ...], deadline: Deadline) -> None:
    """Take out what `add` put in; a current context that points to it is unset."""
    if not Path(kubectl[0]).exists():
        return
    paths = {_persons(), *([Path(_NOTE.read_text().split("\n")[0])] if _NOTE.exists() else [])}
    for path in paths:
        if not path.exists():
            continue
        config = _read(kubectl, path, deadline)
        servers = {each["name"]: each["cluster"].get("server") for each in config["clusters"] or []}
        if servers.get(_NAME) != layout.API_SERVER:
            continue
        if config.get("current-context") == _NAME:
            _config(kubectl, path, deadline, "unset", "current-context")
        for kind in ("context", "user", "cluster"):
            _config(kubectl, path, deadline, f"delete-{kind}", _NAME)


def _is_there(config: dict[str, Any]) -> bool:
    """Whether the context is there, with this very cluster's authority and with a user."""
    authority = base64.b64encode((layout.PKI / "ca.crt").read_bytes()).decode()
    users = {each["name"] for each in config.get("users") or []}
    return any(
        each["name"] == _NAME and each["cluster"].get("certificate-authority-data") == authority
        for each in config.get("clusters") or []
    ) and any(
        each["name"] == _NAME
        and each["context"].get("cluster") == _NAME
        and each["context"].get("user") in users
        for each in config.get("contexts") or []
    )


def _persons() -> Path:
    named = [each for each in os.environ.get("KUBECONFIG", "").split(os.pathsep) if each]
    return Path(named[0]) if named else Path.home() / ".kube" / "config"


def _state(path: Path) -> str:
    """Changes whenever somebody writes the file or the cluster's certificates are new."""
    try:
        seen = path.stat()
    except FileNotFoundError:
        return ""
    made = (layout.PKI / "complete").stat().st_mtime_ns
    return f"{path.absolute()}\n{seen.st_ino} {seen.st_size} {seen.st_mtime_ns} {made}"


def _read(kubectl: tuple[str, ...], path: Path, deadline: Deadline) -> dict[str, Any]:
    if not path.exists():
        return {}
    view = _config(kubectl, path, deadline, "view", "--raw", "--output=json")
    config: dict[str, Any] = json.loads(view)
    return config


def _config(kubectl: tuple[str, ...], path: Path, deadline: Deadline, *arguments: str) -> str:
    try:
        return run(
            [*kubectl, "config", f"--kubeconfig={path}", *arguments], deadline=deadline
        ).stdout
    except CommandFailed as error:
        raise Failure(
            finding("kubeconfig-unusable", f"{path} cannot be used: {error.reason}")
        ) from error
