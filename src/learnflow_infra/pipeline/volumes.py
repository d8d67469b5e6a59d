"""The volumes behind the claims of services, which may outlive the claims that they were made for.

A claim's removal only asks for the volume's: a reclaim policy may keep it, or its provisioner no
longer know it, as Minikube's after a restart. The next claim of the name may then find the data.
"""

from __future__ import annotations

import re
import shlex
import time
from collections.abc import Iterable, Sequence

from learnflow_infra.findings.failures import Finding, finding, some
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, mapping, name_of, text, uid_of

# For a provisioner to remove what it made: a folder, or a disk that is detached first.
_FOLDER_SECONDS, _DISK_SECONDS = 15.0, 120.0
_POLL_SECONDS = 0.2
_MOST_NAMED = 4


def left(kube: Kube, namespace: str, services: Iterable[str], deadline: Deadline) -> list[Object]:
    """The volumes that are still there though their claims are gone, after the time that their
    provisioner has for it. Raises Failure."""
    folders, disks = deadline.within(_FOLDER_SECONDS), deadline.within(_DISK_SECONDS)
    names = re.compile(rf"data-({'|'.join(services)})-\d+")
    while True:
        claims = kube.list("PersistentVolumeClaim", namespace)
        live = {uid_of(each) for each in claims}
        found = [
            volume
            for volume in kube.list("PersistentVolume")
            if (claim := mapping(at(volume, "spec", "claimRef"))).get("namespace") == namespace
            and names.fullmatch(text(claim.get("name")))
            and claim.get("uid") not in live
        ]
        going = [
            volume
            for volume in found
            if at(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete"
            and not (folders if at(volume, "spec", "hostPath") else disks).passed()
        ]
        if not going:
            return found
        time.sleep(_POLL_SECONDS)


def finding_of(context: str, volumes: Sequence[Object]) -> Finding:
    """The finding of volumes that are left, with what removes them."""
    named = [f"{name_of(v)} ({_phase(v)}, {_storage(v)})" for v in volumes]
    message = f"with their data: {some(named, _MOST_NAMED)}"
    names = " ".join(name_of(each) for each in volumes[:_MOST_NAMED])
    remedy = (
        f"Remove the {', the '.join(_storage(each) for each in volumes[:_MOST_NAMED])}; then run "
        f"`kubectl --context {shlex.quote(context)} delete persistentvolume {names}`."
    )
    return finding("volume-left", message, remedy=remedy)


def _phase(volume: Object) -> str:
    return text(at(volume, "status", "phase")) or "Unknown"


def _storage(volume: Object) -> str:
    """Where its data lies."""
    spec = mapping(at(volume, "spec"))
    for kind in ("hostPath", "local"):
        if path := at(spec, kind, "path"):
            return f"folder {path} on its node"
    if csi := mapping(spec.get("csi")):
        return f"volume {csi.get('volumeHandle')} of {csi.get('driver')}"
    if nfs := mapping(spec.get("nfs")):
        return f"folder {nfs.get('path')} of {nfs.get('server')}"
    return "storage that `kubectl describe persistentvolume` names"
