"""The cgroup that all pods of one start are in, on every hierarchy that the machine has.

Its name is new at each start: two nodes in different sandboxes share one kernel's cgroups.
"""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

from learnflow_infra.cluster.local import layout
from learnflow_infra.host.deadline import Deadline


def create() -> str:
    """Make a cgroup with a new name and note it for `remove`. Raises OSError."""
    name = f"{layout.NAME}-{secrets.token_hex(4)}"
    layout.CGROUP.write_text(name)
    for root, unified in _hierarchies():
        if unified:
            _delegate(root)
        (root / name).mkdir()
    return name


def remove(deadline: Deadline) -> None:
    """Remove the noted cgroup with all below it, deepest first, as its last processes leave."""
    if not layout.CGROUP.exists():
        return
    name = layout.CGROUP.read_text()
    for root, _ in _hierarchies():
        while name and (root / name).is_dir():
            if _remove_tree(root / name):
                break
            deadline.remaining()
            time.sleep(0.02)
    layout.CGROUP.unlink()


def _remove_tree(top: Path) -> bool:
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            Path(folder).rmdir()
        except FileNotFoundError:
            continue
        except OSError:  # a process that has ended is not gone yet
            return False
    return True


def _hierarchies() -> list[tuple[Path, bool]]:
    """Where cgroups are mounted, and whether it is the unified hierarchy (version 2)."""
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, after = line.split(" - ", 1)
        kind = after.split()[0]
        if kind in ("cgroup", "cgroup2"):
            found.append((Path(before.split()[4]), kind == "cgroup2"))
    return found


def _delegate(root: Path) -> None:
    """Let the children of a unified hierarchy have its controllers."""
    available = (root / "cgroup.controllers").read_text().split()
    enabled = (root / "cgroup.subtree_control").read_text().split()
    for controller in set(available) - set(enabled):
        (root / "cgroup.subtree_control").write_text(f"+{controller}")
