"""Which cluster: Minikube, the local one, or a context that the user names.

Only this package knows that there are different ones; the rest sees a context and a kubectl.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import proxies
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.settings import ClusterSettings

Say = Callable[[str], None]


class Provider(Protocol):
    """A cluster that was chosen. Its methods raise Failure."""

    @property
    def context(self) -> str:
        """The kubeconfig context."""

    @property
    def kubectl(self) -> tuple[str, ...]: ...

    @property
    def start_command(self) -> str:
        """What the user starts it with when it is stopped; nothing is deployed by it."""

    def state(self, deadline: Deadline) -> Literal["absent", "stopped", "running"]: ...

    def up(self, deadline: Deadline, say: Say) -> None:
        """See that it runs; one that already does costs next to nothing."""
        ...

    def images(self, deadline: Deadline) -> set[str] | None:
        """Canonical references of the images on the node; None where only the cluster knows."""
        ...

    def pull(self, reference: str, deadline: Deadline) -> None: ...

    def load(self, archive: Path, deadline: Deadline) -> None: ...


def choose(settings: ClusterSettings, deadline: Deadline) -> Provider:
    """The cluster that the settings name, else Minikube where it has a profile, else the local one.

    From then on no proxy of the environment stands before what runs on this machine. Raises
    Failure(cluster-not-found).
    """
    from learnflow_infra.cluster.context import Context
    from learnflow_infra.cluster.local import LocalCluster
    from learnflow_infra.cluster.minikube import Minikube

    if proxies.are_named():
        proxies.go_around((*LocalCluster.addresses, *Minikube.addresses(deadline)))
    if settings.context:
        return Context(settings.context)
    local = LocalCluster()
    minikube = None
    if settings.provider != "local":
        minikube, looked_for = Minikube.find(deadline)
        if minikube is not None:
            return minikube
        if settings.provider == "minikube":
            raise Failure(finding("cluster-not-found", looked_for))
    obstacle = local.obstacle()
    if obstacle is None:
        return local
    message = f"the local cluster: {obstacle}"
    if settings.provider == "auto":
        message = f"{looked_for}; {message}"
    raise Failure(finding("cluster-not-found", message))


def running(provider: Provider, deadline: Deadline) -> Provider:
    """The provider itself. Raises Failure(cluster-not-running) where its cluster does not run."""
    state = provider.state(deadline)
    if state == "running":
        return provider
    remedy = f"Start it with `{provider.start_command}`." if state == "stopped" else None
    message = f"the cluster {provider.context} is {state}"
    raise Failure(finding("cluster-not-running", message, remedy=remedy))


def canonical(reference: str) -> str:
    """An image reference as the container runtime keeps it: with registry, and `library/`.

    The rule is the OCI distribution reference's: a first part with a dot, a colon or `localhost`
    is a registry.
    """
    first, slash, _ = reference.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return reference
    return f"docker.io/{reference}" if slash else f"docker.io/library/{reference}"
