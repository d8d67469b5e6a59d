"""The real local cluster, and the command as a person runs it: a process, a HOME of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

COMMAND = Path(sys.executable).with_name("learnflow-infra")
NAMESPACE = "learnflow"


@dataclass(frozen=True)
class Answer:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.stdout)
        return answer

    @property
    def codes(self) -> list[str]:
        return [each["code"] for each in self.json["findings"]]


class Person:
    """Someone with a HOME, a working folder with an infra.toml, and the command."""

    def __init__(self, home: Path, cache: Path) -> None:
        self.home = home
        self.folder = home / "project"
        self.environment = os.environ | {
            "HOME": str(home),
            "XDG_CACHE_HOME": str(cache),
            "LEARNFLOW_PYTHON": sys.executable,
            # One kubectl for all: the cluster's own, which its folder on the PATH brings.
            "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
        }
        self.environment.pop("KUBECONFIG", None)
        (home / "bin").mkdir(parents=True)
        self.settings("")

    def settings(self, more: str) -> None:
        """Write the settings: images from packages, so that no test asks a registry, and more."""
        file = self.folder / "learnflow-app/phase-2-infrastructure/infra.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'[images]\nsource = "packages"\n{more}')

    def run(self, *arguments: str, timeout: float = 180, **environment: str) -> Answer:
        done = subprocess.run(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert "Traceback" not in done.stdout + done.stderr
        return Answer(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        from learnflow_infra.cluster.local import LocalCluster

        done = subprocess.run(
            [*LocalCluster().kubectl, "--context=learnflow-local", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(
            self.kubectl("get", "-o", "json", "-n", NAMESPACE, *arguments)
        )["items"]
        return items


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Someone whose local cluster runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    someone = Person(tmp_path_factory.mktemp("home"), cache)
    answer = someone.run("cluster", "up", timeout=900)
    assert answer.exit_code == 0, answer.stderr
    yield someone
    answer = someone.run("cluster", "down")
    assert answer.exit_code == 0, answer.stderr


@pytest.fixture(scope="session")
def deployed(person: Person) -> Person:
    """Both services are up, proved once."""
    answer = person.run("up", "--json", timeout=300)
    assert answer.exit_code == 0, answer.stdout + answer.stderr
    return person


@pytest.fixture
def mended(deployed: Person) -> Iterator[Person]:
    """For a test that breaks something: `up` makes it whole again afterwards."""
    yield deployed
    answer = deployed.run("up")
    assert answer.exit_code == 0, answer.stdout


@pytest.fixture
def elsewhere(person: Person, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, with `up`'s settings in it."""
    name = f"test-{request.node.name.replace('_', '-')[:40].rstrip('-')}"
    person.settings(f'[cluster]\nnamespace = "{name}"\n')
    yield name
    person.run("down", "--purge")
    person.settings("")
