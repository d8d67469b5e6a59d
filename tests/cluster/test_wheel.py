"""The wheel, as somebody uses it who has no checkout: docs/releasing.md."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from prepare import wheels

from .conftest import NAMESPACE, Person

ROOT = Path(__file__).parents[2]


def succeeds(argv: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def recipe() -> list[str]:
    """The lines of docs/releasing.md by which a wheel is tried."""
    page = (ROOT / "docs/releasing.md").read_text()
    (block,) = re.findall(r"```sh\n( *python3 -m venv .*?)```", page, re.DOTALL)
    return [line.strip() for line in block.splitlines() if line.strip()]


@pytest.fixture(scope="module")
def tried(person: Person, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder in which the recipe was run with the built wheel, and what its lines printed."""
    folder = tmp_path_factory.mktemp("release")
    succeeds(["make", "-C", ROOT, "wheel", f"DIST={folder}"], folder, person.environment)
    # Of tests before, which have a settings file: without it nothing would be deployed anew.
    record = ("configmap", "learnflow-settings", "-n", NAMESPACE)
    person.kubectl("delete", *record, "--ignore-not-found")
    # As from the index, which the tests do not reach.
    offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels())}
    script = "\n".join(["set -e", *recipe()])
    return folder, succeeds(["bash", "-c", script], folder, person.environment | offline)


def test_the_wheel_deploys_from_an_empty_folder(tried: tuple[Path, str]) -> None:
    folder, printed = tried
    for line in ("kafka     ok   1/1 pods", "postgres  ok   1/1 pods"):
        assert printed.count(line) >= 2, printed  # up, verify; the skill's script
    scripts = folder / "empty/.claude/skills/postgres-k8s-setup/scripts"
    assert (scripts / "interpreter").read_text().strip() == str(folder / "fresh/bin/python3")


def test_the_wheel_brings_what_images_and_cluster_are_built_from(
    person: Person, tried: tuple[Path, str], tmp_path: Path
) -> None:
    """They have the checkout's digests, so that nothing was built again for the other test."""
    program = (
        "from learnflow_infra.cluster.local import build\n"
        "from learnflow_infra.services import registry\n"
        "print(build.binary(), *(each.recipe.digest() for each in registry.own()))\n"
    )
    said = [
        succeeds([python, "-c", program], tmp_path, person.environment)
        for python in (tried[0] / "fresh/bin/python", Path(sys.executable))
    ]
    assert said[0] == said[1]
