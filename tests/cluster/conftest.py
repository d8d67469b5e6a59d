"""The real local cluster, and the command as a person runs it: a process, a HOME of its own."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from report_schema import valid
from sandboxed import REFUSAL, sandboxed

COMMAND = Path(sys.executable).with_name("learnflow-infra")
NAMESPACE = "learnflow"
STAND_IN = Path(__file__).with_name("minikube")
CONTEXT, ADMINISTRATOR = "learnflow-local", "administrator"


@dataclass(frozen=True)
class Answer:
    exit_code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        return valid(self.stdout)

    @property
    def codes(self) -> list[str]:
        return [each["code"] for each in self.json["findings"]]


class Person:
    """Someone with a HOME, a working folder with an infra.toml, and the command."""

    def __init__(self, home: Path, cache: Path) -> None:
        self.home = home
        self.folder = home / "project"
        self.identity = ""
        self._context = CONTEXT
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

    def settings(self, more: str, source: str = "packages") -> None:
        """Write the settings: images from packages, so that no test asks a registry, and more.

        The namespace that they name is made, with what `role` prints for it bound to the person.
        """
        file = self.folder / "learnflow-app/phase-2-infrastructure/infra.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'[images]\nsource = "{source}"\n{more}')
        if self.identity:
            self.permit()

    def become(self, identity: str) -> None:
        """Go on with a service account's rights in place of the administrator's, which `kubectl`
        keeps."""
        namespace, _, account = identity.partition(":")
        self.kubectl("create", "serviceaccount", account, "-n", namespace)
        token = self.kubectl("create", "token", account, "-n", namespace, "--duration=24h")
        config = self.home / ".kube/config"
        shown = json.loads(self.kubectl("config", "view", "--raw", "-o", "json"))
        (user,) = (each["user"] for each in shown["users"] if each["name"] == CONTEXT)
        shown["users"] = [
            {"name": CONTEXT, "user": {"token": token}},
            {"name": ADMINISTRATOR, "user": user},
        ]
        context = {"cluster": CONTEXT, "user": ADMINISTRATOR}
        shown["contexts"].append({"name": ADMINISTRATOR, "context": context})
        config.write_text(json.dumps(shown))
        self._context = ADMINISTRATOR
        self.identity = identity
        self.permit()

    def permit(self) -> None:
        """Give the person's identity what `role` prints for the settings' namespace."""
        said = self.run("role", "--json")
        if said.exit_code == 2:  # of settings that are wrong no command makes use
            return
        assert said.exit_code == 0, said.stdout
        manifests = said.json["manifests"]
        items = {"apiVersion": "v1", "kind": "List", "items": manifests + self._bindings(manifests)}
        self.kubectl("apply", "-f", "-", stdin=json.dumps(items))

    def _bindings(self, manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
        namespace, _, account = self.identity.partition(":")
        return [
            {
                "apiVersion": each["apiVersion"],
                "kind": f"{each['kind']}Binding",
                "metadata": {
                    "name": "the-tests-person",
                    "labels": each["metadata"]["labels"],
                    **({"namespace": ns} if (ns := each["metadata"].get("namespace")) else {}),
                },
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": each["kind"],
                    "name": each["metadata"]["name"],
                },
                "subjects": [{"kind": "ServiceAccount", "namespace": namespace, "name": account}],
            }
            for each in manifests
            if each["kind"] in ("Role", "ClusterRole")
        ]

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

    def administer(self, *arguments: str) -> Answer:
        """Run a command with the administrator's rights."""
        return self.run_in(ADMINISTRATOR, *arguments)

    def run_in(self, context: str, *arguments: str) -> Answer:
        """Run a command in a context that is not the local cluster's own."""
        path = f"{self.kubectl_folder()}:{self.environment['PATH']}"
        return self.run(*arguments, "--context", context, PATH=path)

    def kubectl_folder(self) -> Path:
        """A folder with the cluster's own kubectl, the only program that a context needs."""
        from learnflow_infra.cluster.local import LocalCluster

        wrapper = self.home / "kubectl" / "kubectl"
        if not wrapper.exists():
            wrapper.parent.mkdir()
            wrapper.write_text(f'#!/bin/sh\nexec {" ".join(LocalCluster().kubectl)} "$@"\n')
            wrapper.chmod(0o755)
        return wrapper.parent

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [COMMAND, *arguments],
            cwd=self.folder,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kubectl_command(self, *arguments: str) -> list[str]:
        """kubectl as the cluster's administrator."""
        from learnflow_infra.cluster.local import LocalCluster

        return [*LocalCluster().kubectl, f"--context={self._context}", *arguments]

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        done = subprocess.run(
            self.kubectl_command(*arguments),
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def kafka(self, tool: str, *arguments: str, namespace: str = NAMESPACE) -> str:
        """One of Kafka's commands, run by the first node as itself."""
        return self.kubectl(
            *("exec", "-n", namespace, "kafka-0", "--", f"/opt/kafka/bin/{tool}.sh"),
            *("--bootstrap-server", f"kafka-0.kafka-brokers.{namespace}.svc:9091"),
            *("--command-config", "/etc/kafka-shared/admin.properties", *arguments),
        )

    def secret(self, name: str, namespace: str = NAMESPACE) -> dict[str, str]:
        """A Secret's values."""
        said = self.kubectl("get", "secret", "-n", namespace, name, "-o", "json")
        data = json.loads(said).get("data") or {}
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def objects(self, *arguments: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(
            self.kubectl("get", "-o", "json", "-n", NAMESPACE, *arguments)
        )["items"]
        return items


@pytest.fixture(scope="session", autouse=True)
def in_the_sandbox() -> None:
    if not sandboxed():
        pytest.exit(REFUSAL, returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.fixture(scope="session")
def person(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Person]:
    """Someone whose local cluster runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    someone = Person(tmp_path_factory.mktemp("home"), cache)
    answer = someone.run("cluster", "up", timeout=900)
    assert answer.exit_code == 0, answer.stderr
    someone.become("default:someone")
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
    """A namespace for one test, with `up`'s settings in it; the administrator removes it."""
    name = f"test-{request.node.name.replace('_', '-')[:40].rstrip('-')}"
    person.settings(f'[cluster]\nnamespace = "{name}"\n')
    yield name
    answer = person.administer("down", "--purge", "--yes")
    assert answer.exit_code == 0, answer.stdout
    person.settings("")


class WithMinikube:
    """A person with the stand-in for Minikube on the PATH, in one of its states."""

    def __init__(self, person: Person, home: Path, state: str) -> None:
        self._person = person
        self._home = home
        (home / "bin").mkdir()
        shutil.copy(STAND_IN, home / "bin" / "minikube")
        (home / "state").write_text(state)
        (home / "calls").touch()

    def run(self, *arguments: str) -> Answer:
        return self._person.run(
            *arguments,
            MINIKUBE_HOME=str(self._home),
            PATH=f"{self._home / 'bin'}:{self._person.environment['PATH']}",
        )

    @property
    def calls(self) -> list[str]:
        return (self._home / "calls").read_text().splitlines()


@pytest.fixture
def minikube(deployed: Person, tmp_path: Path, request: pytest.FixtureRequest) -> WithMinikube:
    kubectl = deployed.kubectl
    kubectl(
        "config", "set-context", "minikube", "--cluster=learnflow-local", "--user=learnflow-local"
    )
    request.addfinalizer(lambda: kubectl("config", "delete-context", "minikube"))
    return WithMinikube(deployed, tmp_path, request.param)
