"""The import contracts of pyproject.toml: the package keeps each, and each can be broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import learnflow_infra

PACKAGE = Path(learnflow_infra.__file__).parent
PROJECT = Path(__file__).parents[2] / "pyproject.toml"


LAYERS = "A room imports only from those below it"
SERVICES = "No service knows another"
OUTSIDE = "Nothing outside services/ knows a service by name"


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Check the package that lies in a folder."""
    command = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [command, "--no-cache", PROJECT], cwd=folder, capture_output=True, text=True, timeout=60
    )


def copied(folder: Path) -> Path:
    """A copy of the package in a folder."""
    ignore = shutil.ignore_patterns("__pycache__")
    return Path(shutil.copytree(PACKAGE, folder / PACKAGE.name, ignore=ignore))


def test_the_package_keeps_its_contracts() -> None:
    done = lint(PACKAGE.parent)
    assert done.returncode == 0, done.stdout
    for contract in (LAYERS, SERVICES, OUTSIDE):
        assert f"{contract} KEPT" in done.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("host/deadline.py", "import learnflow_infra.settings", LAYERS),
        ("report/__init__.py", "import learnflow_infra.pipeline.wait", LAYERS),
        ("services/kafka/errors.py", "import learnflow_infra.services.postgres", SERVICES),
        ("services/shared/tls.py", "import learnflow_infra.services.kafka", SERVICES),
        ("pipeline/wait.py", "import learnflow_infra.services.kafka.users", OUTSIDE),
    ],
)
def test_a_wrong_import_is_found(file: str, line: str, contract: str, tmp_path: Path) -> None:
    with (copied(tmp_path) / file).open("a") as module:
        module.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1
    assert f"{contract} BROKEN" in done.stdout


def test_a_room_that_no_contract_names_is_found(tmp_path: Path) -> None:
    copied(tmp_path).joinpath("attic.py").touch()
    done = lint(tmp_path)
    assert done.returncode == 1
    assert "learnflow_infra.attic" in done.stdout
