"""A service from outside the package: one folder and one entry point, in `tests/third_service`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Answer, Person

DISTRIBUTION = Path(__file__).parents[1] / "third_service"

Run = Callable[..., Answer]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder where the service's distribution is installed."""
    target = tmp_path_factory.mktemp("site")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"),
            *("--no-build-isolation", "--target", target, DISTRIBUTION),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return str(target)


@pytest.fixture
def run(person: Person, elsewhere: str, installed: str, tmp_path: Path) -> Run:
    """The command with Valkey as the one service that the settings name."""
    file = tmp_path / "infra.toml"
    sections = f'[images]\nsource = "packages"\n[cluster]\nnamespace = "{elsewhere}"\n'
    file.write_text(f'services = ["valkey"]\n{sections}')

    def command(*arguments: str) -> Answer:
        return person.run(*arguments, "--settings", str(file), PYTHONPATH=installed)

    return command


def test_a_service_of_somebody_else_s_is_deployed_proved_diagnosed_and_removed(
    person: Person, elsewhere: str, run: Run
) -> None:
    answer = run("up", "--json")
    assert answer.exit_code == 0, answer.stdout + answer.stderr
    (verdict,) = answer.json["services"]
    assert (verdict["name"], verdict["endpoint"]) == ("valkey", f"valkey.{elsewhere}.svc:6379")
    assert run("up", "--json").json["changed"] == []
    assert "valkey    ok   1/1 pods" in run("verify").stdout

    (row,) = run("status", "--json").json["status"]
    assert row["image"] == "valkey/valkey:8.1.1"
    assert row["volumes"] == {"data-valkey-0": "Bound"}
    assert row["certificate_ends"]
    doctor = run("doctor")
    assert doctor.exit_code == 0, doctor.stdout
    assert {each["kind"] for each in run("render", "--json").json["manifests"]} >= {"StatefulSet"}

    # A login as an application has it: the user of the Secret, and none without a password.
    pod = ("exec", "-n", elsewhere, "valkey-0", "--")
    client = "valkey-cli --tls --cacert /etc/valkey-tls/ca.crt -h valkey"
    login = "--user learnflow --pass $(cat /etc/valkey/password) --no-auth-warning"
    shell = (*pod, "bash", "-c")
    assert person.kubectl(*shell, f"{client} {login} set kept 42").strip() == "OK"
    assert "NOAUTH" in person.kubectl(*shell, f"{client} get kept 2>&1")

    # What is wrong is said in the service's own words, and what its remedy says helps.
    damage = "for file in /var/lib/valkey/appendonlydir/*.rdb; do echo no >$file; done"
    person.kubectl(*shell, f"{damage}; pkill -9 valkey-server || true")
    answer = run("up", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["valkey-data-damaged"], answer.stdout
    assert run("diagnose", "--json").codes == ["valkey-data-damaged"]
    assert "learnflow-infra down valkey --purge" in answer.json["findings"][0]["remedy"]
    answer = run("down", "valkey", "--purge", "--yes", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert "persistentvolumeclaim/data-valkey-0" in answer.json["removed"]
    answer = run("up", "--json")
    assert answer.exit_code == 0, answer.stdout

    assert run("down", "--purge", "--yes").exit_code == 0
    assert "valkey" not in person.kubectl("get", "all,secrets,pvc", "-n", elsewhere, "-o", "name")


def test_a_service_that_is_not_installed_is_named(person: Person, tmp_path: Path) -> None:
    file = tmp_path / "infra.toml"
    file.write_text('services = ["kafka", "valkey"]\n')
    answer = person.run("verify", "--json", "--settings", str(file))
    assert answer.exit_code == 2
    assert "'valkey' is no service; there are kafka, postgres" in answer.stdout
