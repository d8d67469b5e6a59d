"""The local cluster's node, whose processes, mounts and files a fault may touch."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import layout, lock
from learnflow_infra.cluster.local.api import Api

from ..machine import eventually


def inside(*argv: str, namespaces: tuple[str, ...] = ("--mount", "--pid", "--net")) -> list[str]:
    """A command line that runs in the node's namespaces."""
    return ["nsenter", f"--target={lock.node_pid()}", *namespaces, "--", *argv]


def run(*argv: str) -> None:
    subprocess.run(inside(*argv), check=True, capture_output=True, timeout=30)


def nft(script: str, target: int = 0) -> None:
    """Change the rules of a process's network, the node's own for 0."""
    environment = Path(f"/proc/{lock.node_pid()}/environ").read_text().split("\0")
    subprocess.run(
        ["nsenter", f"--target={target or lock.node_pid()}", "--net", "--", "nft", "-f", "-"],
        env=dict(each.split("=", 1) for each in environment if each),
        input=script,
        text=True,
        check=True,
        capture_output=True,
        timeout=30,
    )


def link(address: str) -> str:
    """The node's end of the link to a pod."""
    route = subprocess.run(
        inside("ip", "route", "get", address), check=True, capture_output=True, text=True
    )
    words = route.stdout.split()
    return words[words.index("dev") + 1]


def pid_at(address: str) -> int:
    """A process in the pod that has an address, as this machine numbers it."""
    own = re.compile(rf"-- {re.escape(address)}\n\s+/32 host LOCAL")
    for each in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if own.search((each / "net/fib_trie").read_text()):
                return int(each.name)
    raise LookupError(address)


def pid(component: str) -> int:
    """A component's process, as this machine numbers it."""
    node = lock.node_pid()
    for child in Path(f"/proc/{node}/task/{node}/children").read_text().split():
        with suppress(OSError):  # it may have ended: the proxy's `nft` lasts for a moment
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[:2]
            if component in (Path(word.decode()).name for word in words):
                return int(child)
    raise LookupError(component)


@contextmanager
def stopped(component: str) -> Iterator[None]:
    """The component hangs."""
    number = pid(component)
    os.kill(number, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(number, signal.SIGCONT)


@contextmanager
def kubelet_with(change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """The kubelet runs with another configuration."""
    file = layout.CONFIG / "kubelet.json"
    before = file.read_text()
    config = json.loads(before)
    change(config)
    file.write_text(json.dumps(config))
    try:
        _restart_kubelet()
        yield
    finally:
        file.write_text(before)
        _restart_kubelet()


def _restart_kubelet() -> None:
    old = pid("kubelet")
    os.kill(old, signal.SIGKILL)

    def is_back() -> bool:
        try:
            return pid("kubelet") != old and layout.READY.exists()
        except LookupError:
            return False

    eventually(is_back, 60)


def condition(kind: str) -> str:
    """A condition of the node, as the API shows it."""
    with closing(Api()) as api:
        node = api.get(f"/api/v1/nodes/{layout.NAME}")
    return next((e["status"] for e in node["status"]["conditions"] if e["type"] == kind), "")
