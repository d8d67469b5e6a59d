"""Images compatible with the official ones, built where no container registry can be reached.

Each is built once from Debian packages and Maven Central at pinned versions (a recipe
lies with its service), proved by running it, and cached as a docker-archive tar.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.build import build
from learnflow_infra.image_builder.recipe import Recipe


def archive(recipe: Recipe, deadline: Deadline, say: Callable[[str], None]) -> Path:
    """The docker-archive tar of the compatible image: built at the first call, then cached.

    Raises Failure(image-build-failed).
    """
    cache = paths.cache() / "images"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"{recipe.name}-{recipe.digest()}.tar"
    with _alone(cache / f"{recipe.name}.lock", deadline):
        if not target.exists():
            build(recipe, target, deadline, say)
            for old in cache.glob(f"{recipe.name}-*.*"):
                if old.stem != target.stem:
                    old.unlink()
    return target


@contextmanager
def _alone(lock: Path, deadline: Deadline) -> Iterator[None]:
    """Holds a lock that one process at a time can have; the kernel frees it when a holder dies."""
    with lock.open("w") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(min(0.1, deadline.remaining()))
        yield
