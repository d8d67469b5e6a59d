"""The wheel, as somebody uses it who has no checkout: docs/releasing.md."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from prepare import wheels
from report_schema import valid

from .conftest import NAMESPACE, Person

ROOT = Path(__file__).parents[2]


def succeeds(argv: Sequence[str | Path], folder: Path, environment: dict[str, str]) -> str:
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment in which the built wheel was installed."""
    folder = tmp_path_factory.mktemp("environment")
    succeeds(["make", "-C", ROOT, "wheel", f"DIST={folder}"], folder, person.environment)
    (wheel,) = folder.glob("*.whl")
    succeeds([sys.executable, "-m", "venv", folder / "venv"], folder, person.environment)
    # As from the index, which the tests do not reach.
    offline = ("--no-index", "--find-links", wheels())
    pip = folder / "venv/bin/pip"
    succeeds([pip, "install", *offline, wheel], folder, person.environment)
    return folder / "venv/bin"


def test_the_wheel_deploys_from_an_empty_folder(
    person: Person, installed: Path, tmp_path: Path
) -> None:
    def run(*arguments: str) -> str:
        return succeeds([installed / "learnflow-infra", *arguments], tmp_path, person.environment)

    # Of tests before, which have a settings file: without it nothing would be deployed anew.
    record = ("configmap", "learnflow-settings", "-n", NAMESPACE)
    person.kubectl("delete", *record, "--ignore-not-found")
    assert {each["name"]: each["ok"] for each in valid(run("up", "--json"))["services"]} == {
        "kafka": True,
        "postgres": True,
    }
    assert "kafka     ok   1/1 pods" in run("verify")

    run("skills", "install", str(tmp_path))
    script = tmp_path / ".claude/skills/postgres-k8s-setup/scripts/verify.py"
    assert "postgres  ok   1/1 pods" in succeeds(
        ["/usr/bin/env", "python3", script], tmp_path, person.environment
    )


def test_the_wheel_brings_what_images_and_cluster_are_built_from(
    person: Person, installed: Path, tmp_path: Path
) -> None:
    """They have the checkout's digests, so that nothing was built again for the other test."""
    program = (
        "from learnflow_infra.cluster.local import build\n"
        "from learnflow_infra.services import registry\n"
        "print(build.binary(), *(each.recipe.digest() for each in registry.own()))\n"
    )
    said = [
        succeeds([python, "-c", program], tmp_path, person.environment)
        for python in (installed / "python", Path(sys.executable))
    ]
    assert said[0] == said[1]
