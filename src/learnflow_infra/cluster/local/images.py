"""The images on the node: which are there, and two ways for more to come."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from learnflow_infra.cluster.local import layout
from learnflow_infra.deadline import Deadline
from learnflow_infra.process import run

_CTR = ("ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io", "images")
_HUB = "docker.io"


def listed(environment: Mapping[str, str], deadline: Deadline) -> set[str]:
    """The references on the node, in full."""
    output = run([*_CTR, "list", "--quiet"], env=environment, deadline=deadline).stdout
    return {line for line in output.split() if not line.startswith("sha256:")}


def load(archive: Path, environment: Mapping[str, str], deadline: Deadline) -> None:
    """Bring in an archive as `docker save` makes it. Raises CommandFailed."""
    run([*_CTR, "import", str(archive)], env=environment, deadline=deadline)


def pull(reference: str, environment: Mapping[str, str], deadline: Deadline) -> None:
    """Fetch an image with the host's network; the node has no way out. Raises CommandFailed."""
    run([*_CTR, "pull", normalised(reference)], env=environment, deadline=deadline)


def normalised(reference: str) -> str:
    """The reference in full: with its registry, `library/` where it is meant, and a tag."""
    first, slash, rest = reference.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    registry, name = (first, rest) if named else (_HUB, reference)
    if registry == f"index.{_HUB}":
        registry = _HUB
    if registry == _HUB and "/" not in name:
        name = f"library/{name}"
    last = name.rpartition("/")[2]
    tagged = "@" in name or ":" in last
    return f"{registry}/{name}" if tagged else f"{registry}/{name}:latest"
