"""Builds one image: packages, files, layers, and the proof that it runs."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from learnflow_infra.host import debian
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.layers import write_archive, write_layer
from learnflow_infra.image_builder.recipe import BASE, Recipe, pins
from learnflow_infra.image_builder.root import NEWEST, Root, failed, version_of

PROGRAMS = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "ip": "iproute2"}


def build(recipe: Recipe, target: Path, deadline: Deadline, say: Callable[[str], None]) -> None:
    """Builds an image into the file `target`, which is there only if the image was proved.

    Raises Failure(image-build-failed), which names the log beside `target`.
    """
    log = target.with_suffix(".log")
    log.write_text("")
    if os.geteuid() != 0:
        raise failed(f"building an image compatible with {recipe.reference} needs root", log)
    say(f"building an image compatible with {recipe.reference}")
    prefix = f"{recipe.name}-building-"
    try:
        for abandoned in target.parent.glob(f"{prefix}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        environment = debian.programs(PROGRAMS, deadline=deadline, say=say)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=prefix) as scratch:
            root = Root(Path(scratch) / "root", log, environment, deadline, say)
            finished, packages = _make(recipe, root, Path(scratch))
            _prove(recipe, root)
            target.with_suffix(".packages").write_text(_noted(packages))
            finished.rename(target)
    except OSError as error:
        raise failed(f"{recipe.reference} could not be built: {error}", log) from error


def _make(recipe: Recipe, root: Root, scratch: Path) -> tuple[Path, Mapping[str, Path]]:
    """The image's archive, and the Debian packages that are in it."""
    base, own = pins(BASE), pins(recipe.folder)
    left_out = BASE / "left-out.txt"
    root.folder("", 0o755, (0, 0))
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(recipe.fetch, root, scratch) if recipe.fetch else None
        root.say("fetching Debian packages")
        packages = root.fetch_packages({**base, **own}, scratch / "debian")
        root.unpack((packages[each] for each in base), left_out)
        _stand_in_for_scripts(root)
        root.settle()
        lower = write_layer(root.path, scratch / "lower.tar")
        root.unpack((packages[each] for each in own), left_out)
        root.run_inside("finding libraries", ("ldconfig",), environment=recipe.environment)
        shutil.rmtree(root.path / "var/cache/ldconfig")  # tells inode numbers
        if fetching:
            fetching.result()
    recipe.fill(root, scratch)
    root.settle()
    upper = write_layer(root.path, scratch / "upper.tar", lower.entries)
    finished = scratch / "image.tar"
    write_archive(
        finished,
        reference=recipe.reference,
        architecture=packages["libc6"].stem.split("_")[2],
        created=datetime.fromtimestamp(NEWEST, UTC).isoformat(),
        settings={
            **recipe.settings,
            "Env": [f"{name}={value}" for name, value in recipe.environment.items()],
            "Labels": _labels(recipe, packages),
        },
        layers=(lower, upper),
    )
    return finished, packages


def _noted(packages: Mapping[str, Path]) -> str:
    """What was fetched: a package's name, version, architecture and checksum on a line."""
    lines = []
    for name, path in sorted(packages.items()):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        lines.append(f"{name} {version_of(path)} {path.stem.split('_')[2]} {digest}\n")
    return "".join(lines)


def _prove(recipe: Recipe, root: Root) -> None:
    """Runs the image. Its root is no longer clean then, which is why the tar is written before."""
    root.say(f"proving the image compatible with {recipe.reference}")
    root.run_inside(
        "running the image",
        ("bash", "-c", (recipe.folder / "prove.sh").read_text()),
        user=recipe.run_as,
        environment=recipe.environment,
    )


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


def _labels(recipe: Recipe, packages: Mapping[str, Path]) -> dict[str, str]:
    versions = {name: version_of(path) for name, path in sorted(packages.items())}
    return {
        "org.opencontainers.image.title": f"compatible with {recipe.reference}",
        "org.opencontainers.image.description": f"Not the official {recipe.reference}: built by "
        "learnflow-infra from package registries, keeping its contract",
        "org.opencontainers.image.version": versions[recipe.main_package],
        "org.opencontainers.image.base.name": "debian:trixie",
        "learnflow.infra/packages": ", ".join(f"{name} {each}" for name, each in versions.items()),
    }
