"""Whether the data folder came with its volume: a provisioner may hand out a used folder as a new
volume, with rows in it that were purged."""

from __future__ import annotations

import re

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, created
from learnflow_infra.services import Access

_CLAIM = "data-postgres-0"
_BORN = "data folder born "
# initdb writes the file once. Its birth, unlike its other times, is not moved by a change of its
# owner, and it is later than the claim's where a backup was copied into a new volume.
SCRIPT = f"""\\! echo "{_BORN}$(stat -c %W "$PGDATA/PG_VERSION")"\n"""
_SKEW_SECONDS = 10.0  # between the clocks of a node and of the API server


def require_new(access: Access, output: str) -> None:
    """Look at what `SCRIPT` printed. Raises Failure(volume-not-new) for data that is older than the
    claim that its volume was made for."""
    born = re.search(rf"{_BORN}([1-9]\d*)", output)
    if born is None:  # the file system does not say
        return
    claimed = _claimed(access.kube, access.settings.cluster.namespace)
    if claimed is None or int(born[1]) + _SKEW_SECONDS > claimed:
        return
    older = claimed - int(born[1])
    message = f"the data in the volume of {_CLAIM} is {older:.0f} s older than the claim"
    raise Failure(finding("volume-not-new", message, service="postgres"))


def _claimed(kube: Kube, namespace: str) -> float | None:
    """The time of the claim; None where its volume may rightly hold older data, or is not known."""
    claim = _named(kube.list("PersistentVolumeClaim", namespace), _CLAIM)
    if claim is None or claim["spec"].get("dataSource"):  # a snapshot, or another volume
        return None
    try:
        volumes = kube.list("PersistentVolume")
    except Failure as failure:
        if failure.findings[0].code == "permission-missing":
            return None
        raise
    volume = _named(volumes, claim["spec"].get("volumeName", ""))
    if volume is None or created(volume) < created(claim):  # one that the user bound again
        return None
    return created(claim)


def _named(objects: list[Object], name: str) -> Object | None:
    return next((each for each in objects if each["metadata"]["name"] == name), None)
