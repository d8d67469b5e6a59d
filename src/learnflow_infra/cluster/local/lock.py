"""Two locks in the run folder: who starts or stops the node, and whether the node lives."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from learnflow_infra.cluster.local import layout
from learnflow_infra.host.deadline import Deadline

_POLL_SECONDS = 0.02


@contextlib.contextmanager
def exclusive(deadline: Deadline) -> Iterator[None]:
    """Keep every other start or stop out. Makes the run folder."""
    while True:
        layout.RUN.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = layout.RUN / "starter"
        with contextlib.closing(_Opened(path)) as opened:
            if opened.taken() and opened.is_at(path):  # a purge may have removed it meanwhile
                yield
                return
        deadline.remaining()
        time.sleep(_POLL_SECONDS)


def hold_for_node() -> int:
    """The node's lock as a file descriptor: it is held for as long as a process has it open."""
    opened = _Opened(layout.LOCK)
    if not opened.taken():
        opened.close()
        raise BlockingIOError(f"{layout.LOCK} is held")
    return opened.descriptor


def node_lives() -> bool:
    try:
        opened = _Opened(layout.LOCK, create=False)
    except FileNotFoundError:
        return False
    with contextlib.closing(opened):
        return not opened.taken()


def node_pid() -> int | None:
    """The node's first process: it has the lock as its input, and is the first of its namespace."""
    try:
        lock = layout.LOCK.stat()
    except FileNotFoundError:
        return None
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            seen = (folder / "fd" / "0").stat()
            if (seen.st_dev, seen.st_ino) != (lock.st_dev, lock.st_ino):
                continue
            for line in (folder / "status").read_text().splitlines():
                if line.startswith("NSpid:") and len(line.split()) > 2 and line.split()[-1] == "1":
                    return int(folder.name)
        except OSError:  # it ended while we looked
            continue
    return None


class _Opened:
    def __init__(self, path: Path, *, create: bool = True) -> None:
        flags = os.O_RDWR | (os.O_CREAT if create else 0)
        self.descriptor = os.open(path, flags, 0o600)

    def taken(self) -> bool:
        try:
            fcntl.flock(self.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def is_at(self, path: Path) -> bool:
        try:
            there = path.stat()
        except FileNotFoundError:
            return False
        ours = os.fstat(self.descriptor)
        return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)

    def close(self) -> None:
        os.close(self.descriptor)
