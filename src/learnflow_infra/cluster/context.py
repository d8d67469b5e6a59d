"""Any context of the user's kubeconfig: used as it is, never started or stopped."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path
from typing import Literal

from learnflow_infra.cluster import Say
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline

# Clusters whose nodes have the images of the machine's own Docker.
_SHARING_DOCKER = {"docker-desktop", "rancher-desktop", "orbstack", "colima"}


def kubectl_on_path() -> tuple[str, ...] | None:
    found = shutil.which("kubectl")
    return (found,) if found else None


def how_to_load(context: str, archive: Path) -> str:
    """What brings an image archive to a context's nodes, by the name that its maker gave it."""
    file = shlex.quote(str(archive))
    maker, _, name = context.partition("-")
    if maker == "kind" and name:
        return f"`kind load image-archive {file} --name {shlex.quote(name)}`"
    if maker == "k3d" and name:
        return f"`k3d image import {file} --cluster {shlex.quote(name)}`"
    if context in _SHARING_DOCKER:
        return f"`docker load --input {file}`"
    return f"`ctr --namespace k8s.io images import {file}` on each node"


class Context:
    """A cluster that only its context is known of; its nodes pull their images themselves."""

    def __init__(self, context: str) -> None:
        self.context = context

    @property
    def kubectl(self) -> tuple[str, ...]:
        found = kubectl_on_path()
        if found is None:
            raise Failure(finding("kubectl-missing", "there is no kubectl on the PATH"))
        return found

    @property
    def start_command(self) -> str:
        raise NotImplementedError

    def state(self, deadline: Deadline) -> Literal["absent", "stopped", "running"]:
        # Whether it answers shows with the first request, and costs none of its own.
        return "running"

    def up(self, deadline: Deadline, say: Say) -> None:
        return

    def images(self, deadline: Deadline) -> set[str] | None:
        return None

    def pull(self, reference: str, deadline: Deadline) -> None:
        raise NotImplementedError

    def load(self, archive: Path, deadline: Deadline) -> None:
        raise NotImplementedError
