"""Which clusters this machine has or could have, for a user who asks before deploying."""

from __future__ import annotations

import shutil

from learnflow_infra.cluster.local import LocalCluster
from learnflow_infra.cluster.minikube import Minikube
from learnflow_infra.cluster.minikube import version as minikube_version
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline


def minikube(deadline: Deadline) -> tuple[bool, str]:
    """Whether it can be used, and its version and state. Raises Failure where it is broken."""
    command = shutil.which("minikube")
    if command is None:
        return False, "not installed"
    try:
        version = minikube_version(command, deadline)
    except Failure as failure:
        return False, f"installed, but {failure.findings[0].message}"
    found, _ = Minikube.find(deadline)
    if found is None:
        return False, f"{version}, without a profile"
    return True, f"{version}, profile {found.profile}: {found.state(deadline)}"


def local(deadline: Deadline) -> tuple[bool, str]:
    """Whether it can run here, and its state or what is in the way."""
    cluster = LocalCluster()
    if (obstacle := cluster.obstacle()) is not None:
        return False, obstacle
    state = cluster.state(deadline)
    return True, "can be built and run here" if state == "absent" else state
