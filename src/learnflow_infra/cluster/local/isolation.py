"""What the node's first process does to its own namespaces before anything starts in them.

All of it is private to the node: its mounts, its network, its kernel rules end with it.
"""

from __future__ import annotations

import socket
from pathlib import Path

from learnflow_infra.cluster.local import layout
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import run

NODE_LINK = "eth0"

# What no kube-proxy rule has turned to an endpoint says at once that it leads nowhere: so does a
# connection that is tried too early, instead of being remembered as one without an answer. It
# comes before kube-proxy's own rules, which drop such packets.
_FENCE = f"""\
table ip {layout.NAME} {{
  chain forward {{
    type filter hook forward priority -1
    ip daddr {layout.SERVICES} reject with icmp type host-unreachable
  }}
  chain output {{
    type filter hook output priority -1
    ip daddr {layout.SERVICES} reject with icmp type host-unreachable
  }}
}}
"""

# What the kubelet insists on, and would set for the whole machine: it is shown them as set.
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}


def enter(deadline: Deadline) -> None:
    """Make the namespaces a node's. Needs the link to be plugged in. Raises CommandFailed."""
    socket.sethostname(layout.NAME)
    _mounts(deadline)
    _network(deadline)


def is_plugged() -> bool:
    return any(name == NODE_LINK for _, name in socket.if_nameindex())


def _mounts(deadline: Deadline) -> None:
    """Give the node a /var and a /run of its own: several programs write to fixed paths there."""
    state, run_folder = str(layout.STATE), str(layout.RUN)
    var, transient = layout.STATE / "var", layout.STATE / "run"
    for folder in (var / "lib" / layout.NAME, var / "log", var / "tmp", transient):
        folder.mkdir(parents=True, exist_ok=True)
    (var / "tmp").chmod(0o1777)
    for folder in (layout.VOLUMES, layout.LOGS):
        folder.mkdir(mode=0o700, exist_ok=True)

    def mount(*arguments: str) -> None:
        # Without -n it would note something in the host's /run.
        run(["mount", "-n", *arguments], deadline=deadline)

    mount("-t", "tmpfs", "-o", "mode=755", layout.NAME, str(transient))
    Path(transient, layout.NAME).mkdir()
    mount("--bind", run_folder, f"{transient}/{layout.NAME}")
    mount("--rbind", str(transient), "/run")
    mount("--bind", state, f"{var}/lib/{layout.NAME}")
    mount("--rbind", str(var), "/var")
    for setting, value in _KERNEL_SETTINGS.items():
        if Path("/proc/sys", setting).read_text().strip() != value:
            stand_in = Path("/run", setting.replace("/", "."))
            stand_in.write_text(f"{value}\n")
            mount("--bind", str(stand_in), f"/proc/sys/{setting}")
    mount("--make-rshared", "/")


def _network(deadline: Deadline) -> None:
    commands = f"""\
link set lo up
address add {layout.DNS_ADDRESS}/32 dev lo
address add {layout.NODE_ADDRESS}/{layout.LINK_PREFIX} dev {NODE_LINK}
link set {NODE_LINK} up
route add {layout.SERVICES} dev lo src {layout.NODE_ADDRESS}
"""
    # The route to the Services only lets the node's own packets be made; none is sent by it.
    run(["ip", "-batch", "-"], stdin=commands, deadline=deadline)
    # A refusal that the kernel holds back, to save packets, would be a timeout.
    for setting, value in (("ip_forward", "1"), ("icmp_ratelimit", "0")):
        Path("/proc/sys/net/ipv4", setting).write_text(value)
    run(["nft", "-f", "-"], stdin=_FENCE, deadline=deadline)
