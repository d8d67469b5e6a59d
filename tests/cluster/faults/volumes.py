"""Volumes that are not there, or not as they should be."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import layout

from ..machine import eventually
from . import node
from .harness import Stand, fault

CLAIM = "data-postgres-0"


def storage_class(name: str, provisioner: str) -> dict[str, Any]:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name},
        "provisioner": provisioner,
    }


def claim(**spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": CLAIM},
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": "2Gi"}},
            **spec,
        },
    }


@contextmanager
def provisioned(stand: Stand, name: str = CLAIM) -> Iterator[Path]:
    """The folder on the node of the claim that the pod is going to use."""
    stand.create(claim() | {"metadata": {"name": name}})
    yield layout.VOLUMES / bound(stand)["spec"]["volumeName"]


def bound(stand: Stand) -> dict[str, Any]:
    """The claim, once it has its volume."""
    found: list[dict[str, Any]] = []

    def is_bound() -> bool:
        found[:] = stand.items("persistentvolumeclaims")
        return any(each["status"].get("phase") == "Bound" for each in found)

    eventually(is_bound)
    return found[0]


def purged(stand: Stand) -> None:
    """All that the deployment has, and the claim, whoever made it."""
    stand.kubectl("delete", "persistentvolumeclaim", CLAIM, "--wait=false")
    answer = stand.person.run("down", "--purge", "--yes")
    assert answer.exit_code == 0, answer.stdout


@fault("a class that is not there", "up kafka", "storage-class-missing", exit=4)
def no_class(stand: Stand) -> Iterator[None]:
    stand.settings('[kafka]\nstorage_class = "gold"\n')
    yield


@fault("no class is the default", "up postgres", "storage-class-missing", exit=4)
def no_default(stand: Stand) -> Iterator[None]:
    key = "storageclass.kubernetes.io/is-default-class"
    stand.kubectl("annotate", "--overwrite", "storageclass", layout.VOLUME_CLASS, f"{key}=false")
    try:
        yield
    finally:
        stand.kubectl("annotate", "--overwrite", "storageclass", layout.VOLUME_CLASS, f"{key}=true")


@fault(
    "a class whose provisioner does not run",
    "up postgres --timeout 10",
    "volume-unbound",
    sign="ExternalProvisioning",
)
def no_provisioner(stand: Stand) -> Iterator[None]:
    stand.create(storage_class("away", "example.com/away"))
    stand.settings('[postgres]\nstorage_class = "away"\n')
    try:
        yield
    finally:
        stand.kubectl("delete", "storageclass", "away")


@fault(
    "a provisioner that fails",
    "up postgres",
    "volume-provisioning-failed",
    sign="ProvisioningFailed",
)
def provisioner_fails(stand: Stand) -> Iterator[None]:
    aside = layout.VOLUMES.with_name("volumes-aside")
    layout.VOLUMES.rename(aside)
    layout.VOLUMES.write_text("no folder")
    try:
        yield
    finally:
        layout.VOLUMES.unlink()
        aside.rename(layout.VOLUMES)


@fault("a volume's folder that is gone", "up postgres", "volume-mount-failed", sign="FailedMount")
def mount_fails(stand: Stand) -> Iterator[None]:
    with provisioned(stand) as folder:
        shutil.rmtree(folder)
        yield
        folder.mkdir()
        folder.chmod(0o777)


@fault(
    "a volume whose claim lost it",
    "up postgres",
    "volume-lost",
    sign="Unschedulable",
)
def lost(stand: Stand) -> Iterator[None]:
    with provisioned(stand) as folder:
        name = folder.name
        stand.kubectl("delete", "persistentvolume", name, "--wait=false")
        free = '{"metadata":{"finalizers":null}}'
        stand.kubectl("patch", "persistentvolume", name, "--type=merge", "-p", free)

        def is_lost() -> bool:
            claims = stand.items("persistentvolumeclaims")
            return bool(claims[0]["status"]["phase"] == "Lost")

        eventually(is_lost)
        yield
        purged(stand)


@fault(
    "a volume in another zone",
    "up postgres",
    "unschedulable-volume",
    exit=4,
    sign="Unschedulable",
)
def zone(stand: Stand) -> Iterator[None]:
    term = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["elsewhere"]}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"{stand.namespace}-elsewhere"},
        "spec": {
            "capacity": {"storage": "2Gi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": layout.VOLUME_CLASS,
            "hostPath": {"path": "/nowhere"},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
        },
    }
    name = volume["metadata"]["name"]  # type: ignore[index]
    stand.create(volume, claim(volumeName=name, storageClassName=layout.VOLUME_CLASS))
    try:
        bound(stand)
        yield
    finally:
        stand.kubectl("delete", "persistentvolume", name, "--wait=false")
        purged(stand)


@contextmanager
def tiny(folder: Path, size: str) -> Iterator[None]:
    """A volume of its own size, as a real disk has."""
    node.run("mount", "-n", "-t", "tmpfs", "-o", f"size={size},mode=777", "tiny", str(folder))
    try:
        yield
    finally:
        node.run("umount", "-n", "-l", str(folder))


@fault(
    "a volume too small for the database",
    "up postgres",
    "volume-full",
    sign="CrashLoopBackOff",
    telling=True,
)
def full(stand: Stand) -> Iterator[None]:
    with provisioned(stand) as folder, tiny(folder, "8m"):
        yield


@fault(
    "a volume that the server's user may not write to",
    "up postgres",
    "volume-unwritable",
    sign="CrashLoopBackOff",
    telling=True,
    says="data-postgres-0 at /var/lib/postgresql/data is not writable: owner 0:0, mode 755; the "
    "server is user 999",
)
def unwritable(stand: Stand) -> Iterator[None]:
    with provisioned(stand) as folder:
        os.chown(folder, 0, 0)
        folder.chmod(0o755)
        yield
        os.chown(folder, 999, 999)


@fault(
    "a broker's volume that its user may not write to",
    "up kafka",
    "volume-unwritable",
    sign="CrashLoopBackOff",
    says="the server is user 1000",
)
def kafka_unwritable(stand: Stand) -> Iterator[None]:
    with provisioned(stand, "data-kafka-0") as folder:
        os.chown(folder, 0, 0)
        folder.chmod(0o755)
        yield
        os.chown(folder, 1000, 1000)


@fault(
    "a claim that was deleted while its pod runs",
    "verify postgres",
    "volume-deletion-pending",
    alone=True,
    telling=True,
    says=CLAIM,
)
def deleted(stand: Stand) -> Iterator[None]:
    assert stand.person.run("up", "postgres").exit_code == 0
    stand.kubectl("delete", "persistentvolumeclaim", CLAIM, "--wait=false")
    yield
    stand.kubectl("delete", "pod", "postgres-0")
