"""The images on the node: which are there, and two ways for more to come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from learnflow_infra.cluster import canonical
from learnflow_infra.cluster.local import layout
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import run

_CTR = ("ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io", "images")


def listed(environment: Mapping[str, str], deadline: Deadline) -> set[str]:
    """The references on the node, in full."""
    output = run([*_CTR, "list", "--quiet"], env=environment, deadline=deadline).stdout
    return {line for line in output.split() if not line.startswith("sha256:")}


def load(archive: Path, environment: Mapping[str, str], deadline: Deadline) -> None:
    """Bring in an archive as `docker save` makes it. Raises CommandFailed."""
    run([*_CTR, "import", str(archive)], env=environment, deadline=deadline)


def pull(reference: str, environment: Mapping[str, str], deadline: Deadline) -> None:
    """Fetch an image with the host's network; the node has no way out. Raises CommandFailed."""
    run([*_CTR, "pull", canonical(reference)], env=environment, deadline=deadline)
