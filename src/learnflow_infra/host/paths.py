"""Where things lie: the files shipped with the package, and the user's cache folder."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from learnflow_infra.findings.failures import Failure, finding

_PACKAGE = Path(__file__).parents[1]


def write(file: Path, text: str) -> None:
    """Write a file whole, for its owner alone: beside it and moved, so that what lies there under
    its name, such as a link, is never written through. Raises OSError."""
    import tempfile  # not for a command that writes nothing

    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".learnflow-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(text)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink()
        raise


def shipped(name: str) -> Path:
    """A folder that ships with the package (`local-cluster`, `learnflow-app`).

    In a wheel it lies inside the package, in a checkout at the root.
    """
    bundled = _PACKAGE / "_shipped" / name
    return bundled if bundled.exists() else _PACKAGE.parents[1] / name


def cache() -> Path:
    """`$XDG_CACHE_HOME/learnflow-infra`, by default `~/.cache/learnflow-infra`.

    Raises Failure(cache-unsafe) where others could lay something in it that is run or written to.
    """
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "learnflow-infra"
    try:
        seen = folder.stat()
    except OSError:
        return folder
    ours = {0, os.geteuid(), int(os.environ.get("SUDO_UID") or 0)}
    if seen.st_uid not in ours or seen.st_mode & stat.S_IWOTH:
        raise Failure(finding("cache-unsafe", f"{folder} can be written to by others"))
    return folder
