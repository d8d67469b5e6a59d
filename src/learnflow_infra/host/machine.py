"""What this machine has: processors, memory, disk."""

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
