"""Images compatible with the official ones, built where no container registry can be reached.

Each is built once from Debian packages and Maven Central at pinned versions (the recipes in
`images/`), proved by running it, and cached as a docker-archive tar.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

from learnflow_infra import debian, paths
from learnflow_infra.deadline import Deadline
from learnflow_infra.failures import Failure, finding
from learnflow_infra.images import kafka, postgres
from learnflow_infra.images.layers import write_archive, write_layer
from learnflow_infra.images.root import NEWEST, Root, failed, version_of

KAFKA = "apache/kafka:4.3.0"
POSTGRES = "postgres:17.12"

_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "unshare": "util-linux",
    "ip": "iproute2",
}


@dataclass(frozen=True)
class _Recipe:
    name: str
    builder: ModuleType
    main_package: str


_RECIPES = {
    KAFKA: _Recipe("kafka", kafka, "openjdk-21-jre-headless"),
    POSTGRES: _Recipe("postgres", postgres, "postgresql-17"),
}


def references() -> tuple[str, ...]:
    """The references that there are recipes for."""
    return tuple(_RECIPES)


def archive(reference: str, deadline: Deadline, say: Callable[[str], None]) -> Path:
    """The docker-archive tar of the compatible image: built at the first call, then cached.

    Raises Failure(image-build-failed), also for a reference that has no recipe.
    """
    recipe = _RECIPES.get(reference)
    if recipe is None:
        raise Failure(
            finding(
                "image-build-failed",
                f"no compatible image of {reference} can be built here; "
                f"there are recipes for {', '.join(_RECIPES)}",
            )
        )
    cache = paths.cache() / "images"
    cache.mkdir(parents=True, exist_ok=True)
    target = cache / f"{recipe.name}-{_recipe_digest(recipe)}.tar"
    with _alone(cache / f"{recipe.name}.lock", deadline):
        if not target.exists():
            try:
                _build(reference, recipe, target, deadline, say)
            except OSError as error:
                raise failed(f"{reference} could not be built: {error}", _log(target)) from error
            for old in cache.glob(f"{recipe.name}-*.*"):
                if old.stem != target.stem:
                    old.unlink()
    return target


def _build(
    reference: str, recipe: _Recipe, target: Path, deadline: Deadline, say: Callable[[str], None]
) -> None:
    log = _log(target)
    log.write_text("")
    if os.geteuid() != 0:
        raise failed(f"building an image compatible with {reference} needs root", log)
    say(f"building an image compatible with {reference}")
    environment = debian.programs(_PROGRAMS, deadline=deadline, say=say)
    base, own = (paths.shipped("images") / each for each in ("base", recipe.name))
    left_out = base / "left-out.txt"
    base_pins, own_pins = _pins(base / "packages.txt"), _pins(own / "packages.txt")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f"{recipe.name}-building-") as name:
        scratch = Path(name)
        root = Root(scratch / "root", log, environment, deadline, say)
        root.path.mkdir()
        say("fetching Debian packages")
        packages = root.fetch_packages({**base_pins, **own_pins}, scratch / "debian")

        root.unpack((packages[each] for each in base_pins), left_out)
        _stand_in_for_scripts(root)
        root.settle()
        lower = write_layer(root.path, scratch / "base.tar")

        root.unpack((packages[each] for each in own_pins), left_out)
        root.run_inside("finding libraries", ("ldconfig",), environment=recipe.builder.ENVIRONMENT)
        recipe.builder.fill(root, own, scratch)
        root.settle()
        upper = write_layer(root.path, scratch / "own.tar", lower.entries)

        versions = {each: version_of(path) for each, path in sorted(packages.items())}
        finished = scratch / "image.tar"
        write_archive(
            finished,
            reference=reference,
            architecture=_architecture(packages["libc6"]),
            created=datetime.fromtimestamp(NEWEST, UTC).isoformat(),
            settings={
                **recipe.builder.SETTINGS,
                "Env": [f"{key}={value}" for key, value in recipe.builder.ENVIRONMENT.items()],
                "Labels": _labels(reference, recipe, versions),
            },
            layers=(lower, upper),
        )
        say(f"proving the image compatible with {reference}")
        root.run_inside(
            "running the image",
            ("bash", "-c", (own / "prove.sh").read_text()),
            user=recipe.builder.RUN_AS,
            environment=recipe.builder.ENVIRONMENT,
        )
        finished.rename(target)


def _stand_in_for_scripts(root: Root) -> None:
    """Does what the base packages' own scripts would have done at their installation."""
    share = root.path / "usr/share"
    root.write("etc/passwd", (share / "base-passwd/passwd.master").read_text())
    root.write("etc/group", (share / "base-passwd/group.master").read_text())
    root.write("etc/nsswitch.conf", (share / "libc-bin/nsswitch.conf").read_text())
    var_run = root.path / "var/run"
    if var_run.is_dir():
        var_run.rmdir()
    var_run.symlink_to("../run")
    (root.path / "usr/bin/awk").symlink_to("mawk")
    # A container runtime puts its own over it; while the image is made there is none.
    root.write("etc/hosts", "127.0.0.1 localhost\n")


def _architecture(package: Path) -> str:
    return package.stem.split("_")[2]


def _log(target: Path) -> Path:
    return target.with_suffix(".log")


def _labels(reference: str, recipe: _Recipe, versions: Mapping[str, str]) -> dict[str, str]:
    return {
        "org.opencontainers.image.title": f"compatible with {reference}",
        "org.opencontainers.image.description": f"Not the official {reference}: built by "
        "learnflow-infra from package registries, keeping its contract",
        "org.opencontainers.image.version": versions[recipe.main_package],
        "org.opencontainers.image.base.name": "debian:trixie",
        "learnflow.infra/packages": ", ".join(f"{name} {each}" for name, each in versions.items()),
    }


def _pins(list_: Path) -> dict[str, str]:
    """Names and versions of a recipe's list of packages."""
    lines = (line.split() for line in list_.read_text().splitlines())
    return {line[0]: line[1] for line in lines if line and not line[0].startswith("#")}


def _recipe_digest(recipe: _Recipe) -> str:
    """Of everything that an image is made from: the recipes and this package's own code."""
    digest = hashlib.sha256()
    images = paths.shipped("images")
    for folder in (images / "base", images / recipe.name, Path(__file__).parent):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(folder)}\0".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


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
