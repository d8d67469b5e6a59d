"""Debian programs without installing them: unpacked into the cache folder, found through PATH.

The user's system stays as it is: apt resolves and downloads, dpkg only unpacks. No package is
installed, so that none of its services starts and none of its scripts runs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, run

# Beside PATH, which for most users lacks the administrator's folders; the last two hold CNI
# plugins on Debian and where upstream puts them.
_MORE_FOLDERS = ("/usr/sbin", "/sbin", "/usr/lib/cni", "/opt/cni/bin")
_POLL_SECONDS, _APT_SECONDS = 0.1, 1.0
_LOCK_SECONDS = 300.0  # for an updater of the system to let go of apt's locks
_LOCKED = re.compile("Could not get lock.*")
_UNPACKED_FOLDERS = ("usr/sbin", "usr/bin", "sbin", "bin", "usr/lib/cni")


def programs(
    packages: Mapping[str, str], *, deadline: Deadline, say: Callable[[str], None]
) -> dict[str, str]:
    """The environment (PATH, perhaps LD_LIBRARY_PATH) in which all the programs are found.

    `packages` says which Debian package has each program. Those that the system has are used as
    they are; the packages of the others are unpacked, with the libraries that the system lacks.
    Raises Failure(programs-missing).
    """
    search = os.pathsep.join((os.environ.get("PATH", os.defpath), *_MORE_FOLDERS))
    missing = {name: package for name, package in packages.items() if not _has(name, search)}
    if not missing:
        return {"PATH": search}
    root = _unpacked(sorted(set(missing.values())), deadline, say)
    search = os.pathsep.join((*(str(root / each) for each in _UNPACKED_FOLDERS), search))
    for name, package in missing.items():
        if not _has(name, search):
            raise Failure(
                finding("programs-missing", f"the Debian package {package} brought no `{name}`")
            )
    libraries = [*root.glob("usr/lib/*-linux-gnu*"), *root.glob("lib/*-linux-gnu*")]
    inherited = os.environ.get("LD_LIBRARY_PATH")
    found = [*map(str, libraries), *([inherited] if inherited else [])]
    return {"PATH": search, "LD_LIBRARY_PATH": os.pathsep.join(found)}


def _has(program: str, search: str) -> bool:
    return shutil.which(program, path=search) is not None


def _unpacked(packages: list[str], deadline: Deadline, say: Callable[[str], None]) -> Path:
    """The folder that the packages are unpacked in, filled at most once for each system."""
    try:
        system = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    except OSError:
        system = ""
    key = hashlib.sha256("\n".join((system, platform.machine(), *packages)).encode()).hexdigest()
    root = paths.cache() / "debian" / key[:16]
    if root.is_dir():
        return root
    absent = [tool for tool in ("apt-get", "dpkg") if shutil.which(tool) is None]
    if absent:
        raise Failure(
            finding(
                "programs-missing",
                f"there is no {absent[0]} to fetch the packages {', '.join(packages)}, "
                "and their programs are not on PATH",
                remedy=f"Install what your system has in place of: {', '.join(packages)}.",
            )
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    with _alone(root.parent / "fetching.lock", deadline, say):
        if not root.is_dir():  # else somebody else was quicker
            _fetch(packages, root, deadline, say)
    return root


def _fetch(packages: list[str], root: Path, deadline: Deadline, say: Callable[[str], None]) -> None:
    say(f"fetching {', '.join(packages)} from Debian (nothing is installed)")
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="fetching-") as folder:
        archives, tree = Path(folder, "archives"), Path(folder, "root")
        tree.mkdir()
        (archives / "partial").mkdir(parents=True)
        _download(packages, archives, deadline, say)
        for archive in sorted(archives.glob("*.deb")):
            run(["dpkg", "-x", str(archive), str(tree)], deadline=deadline)
        tree.rename(root)


@contextlib.contextmanager
def _alone(lock: Path, deadline: Deadline, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock that one fetch at a time can have: apt refuses a second one outright."""
    waiting = False
    with lock.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not waiting:
                    waiting = True
                    say("waiting for another fetch from Debian to end")
                time.sleep(min(_POLL_SECONDS, deadline.remaining()))
        yield


def _download(
    packages: list[str], archives: Path, deadline: Deadline, say: Callable[[str], None]
) -> None:
    fetch = (
        *("apt-get", "install", "--download-only", "--no-install-recommends", "--yes", "-q"),
        *("-o", f"Dir::Cache::archives={archives}", "-o", "Acquire::Retries=2"),
        *packages,
    )
    try:
        try:
            _apt(fetch, deadline, say)
        except CommandFailed:  # the package lists may be missing or old
            _apt(("apt-get", "update", "-q"), deadline, say)
            _apt(fetch, deadline, say)
    except CommandFailed as error:
        log = paths.cache() / "debian" / "apt.log"
        log.write_text(f"{error}\n{error.completed.stdout}\n{error.completed.stderr}\n")
        raise Failure(
            finding(
                "programs-missing",
                f"apt-get could not fetch {', '.join(packages)}: {error.reason}; see {log}",
            )
        ) from error


def _apt(argv: Sequence[str], deadline: Deadline, say: Callable[[str], None]) -> None:
    """Run apt as soon as nothing else holds its locks. Raises CommandFailed.

    apt's own DPkg::Lock::Timeout waits in silence, and for dpkg's lock alone.
    """
    quiet = {"LC_ALL": "C", "DEBIAN_FRONTEND": "noninteractive"}
    limit = deadline.within(_LOCK_SECONDS)
    waiting = False
    while True:
        try:
            run(argv, deadline=deadline, env=quiet)
            return
        except CommandFailed as error:
            locked = _LOCKED.search(error.completed.stderr)
            if locked is None or limit.passed():
                raise
            if not waiting:
                waiting = True
                say(f"waiting for apt: {locked[0][:200]}")
        time.sleep(min(_APT_SECONDS, deadline.remaining()))
