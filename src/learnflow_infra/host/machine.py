"""What this machine has: processors, memory, disk; and which process of it this is."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def processors() -> int:
    """Those that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory() -> tuple[int, int | None]:
    """Bytes in all, and those that programs can still have; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), None
    kibibytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.split()[1:]}
    return kibibytes["MemTotal"] << 10, kibibytes["MemAvailable"] << 10


def disk(folder: Path) -> int:
    """Free bytes where a folder is, or would be made."""
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def process_identity() -> str:
    """This process, among all of all machines; empty where the system does not say."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # A number in another namespace is another process's.
        namespace, number = Path("/proc/self/ns/pid").readlink(), os.getpid()
        return f"{boot} {namespace} {number} {_started(number)}"
    except OSError:
        return ""


def has_ended(identity: str) -> bool:
    """Whether a process is no more, by its identity; False where this machine cannot know."""
    try:
        boot, namespace, number, started = identity.split(" ")
        own_boot, own_namespace, _, _ = process_identity().split(" ")
    except ValueError:
        return False
    if (boot, namespace) != (own_boot, own_namespace):
        return False
    try:
        return _started(int(number)) != started
    except (OSError, ValueError):
        return True


def _started(number: int) -> str:
    """When a process started, in the kernel's ticks; a zombie has ended. Raises OSError."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] in "ZX" else fields[19]
