"""What the local cluster is called, which addresses it uses and where its files lie.

The ranges are unlike the usual defaults of Kubernetes, so that another one on the same machine
is not in the way. Everything that outlives a start is in STATE, everything else in RUN.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

NAME = "learnflow-local"
VOLUME_CLASS = "standard"
VOLUME_PROVISIONER = "learnflow.dev/local-path"
PAUSE_IMAGE = "docker.io/learnflow-local/pause:1"

NETWORK = "10.219.0.0/16"
HOST_ADDRESS = "10.219.0.1"
NODE_ADDRESS = "10.219.0.2"
LINK_PREFIX = 30
PODS = "10.219.64.0/18"
SERVICES = "10.219.128.0/20"
API_SERVICE = "10.219.128.1"
DNS_SERVICE = "10.219.128.10"
DNS_ADDRESS = "10.219.0.10"  # the server's own, so that a network policy can mean it alone
API_SERVER = f"https://{NODE_ADDRESS}:6443"

STATE = Path("/var/lib") / NAME
RUN = Path("/run") / NAME
PKI = STATE / "pki"
CONFIG = STATE / "config"
LOGS = STATE / "log"
VOLUMES = STATE / "volumes"
CONTAINERD_SOCKET = RUN / "containerd.sock"
LOCK = RUN / "lock"  # held for as long as the node lives
READY = RUN / "ready"  # there for as long as every component is well
ADDRESSES = Path("/run/addresses")  # the node's own /run: anew at each start, like the sandboxes
POLICIES = Path("/run/policies")
CGROUP = RUN / "cgroup"  # names the cgroup of the last start


@dataclass(frozen=True)
class Programs:
    """What the build made, and the environment in which the node finds everything else."""

    node: Path
    admit: Path
    pause_archive: Path
    environment: dict[str, str]


def kubeconfig(user: str) -> Path:
    """The kubeconfig of one of the cluster's own users (`admin`, `kubelet`, …)."""
    return CONFIG / f"{user}.kubeconfig"
