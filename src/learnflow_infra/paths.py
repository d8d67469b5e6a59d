"""Where things lie: the files shipped with the package, and the person's cache folder."""

from __future__ import annotations

import os
from pathlib import Path

_PACKAGE = Path(__file__).parent


def shipped(name: str) -> Path:
    """A folder that ships with the package (`skills`, `images`, `local-cluster`, …).

    In a wheel it lies inside the package, in a checkout at the root.
    """
    bundled = _PACKAGE / "_shipped" / name
    return bundled if bundled.exists() else _PACKAGE.parents[1] / name


def cache() -> Path:
    """`$XDG_CACHE_HOME/learnflow-infra`, by default `~/.cache/learnflow-infra`."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "learnflow-infra"
