"""Images that cannot be had."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from learnflow_infra.cluster import canonical
from learnflow_infra.cluster.local import build, layout
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services.postgres.image import RECIPE as POSTGRES

from . import node
from .harness import Stand, fault
from .volumes import tiny


@contextmanager
def registry(argv: list[str]) -> Iterator[str]:
    """The address of a registry that refuses."""
    server = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        yield f"localhost:{int(server.stdout.readline())}"
    finally:
        server.kill()
        server.communicate()


PROGRAM = [sys.executable, str(Path(__file__).with_name("registry.py"))]


def pulled(stand: Stand, name: str) -> Iterator[None]:
    """The node pulls an image from a registry on its loopback."""
    with registry(node.inside(*PROGRAM, namespaces=("--net",))) as address:
        stand.alter_container(image=f"{address}/{name}:1")
        yield


@fault(
    "an image that the registry does not have",
    "up postgres",
    "image-not-found",
    sign="ErrImagePull",
    telling=True,
)
def not_found(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "absent")


@fault("a registry that asks for a login", "up postgres", "image-denied", sign="ErrImagePull")
def denied(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "denied")


@fault("a registry that forbids", "up postgres", "image-denied", sign="ErrImagePull")
def forbidden(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "forbidden")


@fault("a registry that limits pulls", "up postgres", "image-pull-limited", sign="ErrImagePull")
def limited(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "limited")


@fault("a registry that fails", "up postgres", "image-registry-unreachable", sign="ErrImagePull")
def broken(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "broken")


@fault("a registry that answers nonsense", "up postgres", "image-not-pulled", sign="ErrImagePull")
def nonsense(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "teapot")


@fault(
    "a registry where nothing listens",
    "up postgres",
    "image-registry-unreachable",
    sign="ErrImagePull",
)
def unreachable(stand: Stand) -> Iterator[None]:
    stand.alter_container(image="localhost:9/absent:1")
    yield


@fault(
    "a registry that never answers",
    "up postgres --timeout 20",
    "image-pull-slow",
    sign="Pulling",
    unmended="the container runtime gives a pull that stands still up after minutes",
)
def hanging(stand: Stand) -> Iterator[None]:
    yield from pulled(stand, "hanging")


@fault("an image name that is none", "up postgres", "image-name-invalid", sign="InvalidImageName")
def invalid(stand: Stand) -> Iterator[None]:
    stand.alter_container(image="Not/An/Image::")
    yield


@fault(
    "an image that may not be pulled and is absent",
    "up postgres",
    "image-absent",
    sign="ErrImageNeverPull",
)
def never(stand: Stand) -> Iterator[None]:
    stand.alter_container(image="docker.io/nobody/nothing:1", imagePullPolicy="Never")
    yield


@contextmanager
def full_node() -> Iterator[None]:
    """A node without room for another image."""
    folder = layout.STATE / "containerd/io.containerd.content.v1.content/ingest"
    with tiny(folder, "1m,nr_inodes=1"):
        yield


@fault(
    "an image for which the node's disk has no room",
    "up postgres",
    "node-disk-full",
    exit=4,
    sign="ErrImagePull",
)
def no_room(stand: Stand) -> Iterator[None]:
    with full_node():
        yield from pulled(stand, "large")


@fault("a built image for which the node's disk has no room", "up postgres", "image-load-failed")
def no_room_to_load(stand: Stand) -> Iterator[None]:
    environment = os.environ | build.programs(Deadline(60), print).environment
    ctr = ("ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io")
    remove = [*ctr, "images", "remove", "--sync", canonical(POSTGRES.reference)]
    subprocess.run(remove, env=environment, check=True, capture_output=True)
    with full_node():
        yield


def fetched(stand: Stand, name: str) -> Iterator[None]:
    """The tool fetches the image itself, with the host's network."""
    with registry(PROGRAM) as address:
        stand.settings(f'[postgres]\nimage = "{address}/{name}:1"\n', source="registry")
        yield


@fault("a set image that the registry does not have", "up postgres", "image-not-found")
def fetch_not_found(stand: Stand) -> Iterator[None]:
    yield from fetched(stand, "absent")


@fault("a set image that the registry denies", "up postgres", "image-denied")
def fetch_denied(stand: Stand) -> Iterator[None]:
    yield from fetched(stand, "denied")


@fault("a set image whose registry is away", "up postgres", "image-registry-unreachable")
def fetch_unreachable(stand: Stand) -> Iterator[None]:
    stand.settings('[postgres]\nimage = "localhost:9/absent:1"\n', source="registry")
    yield
