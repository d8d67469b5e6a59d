"""Which settings file a command goes by, and that nothing is lost where it is not found."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import COMMAND, Answer, Person

FILE = "learnflow-app/phase-2-infrastructure/infra.toml"
REPORTING = '[postgres]\nusers = [{name = "reporting", access = "read"}]\n'
PLAIN_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"


@pytest.fixture
def declared(deployed: Person) -> Iterator[Person]:
    """Someone whose settings declare more than the defaults."""
    deployed.settings(REPORTING)
    answer = deployed.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    yield deployed
    deployed.settings("")
    answer = deployed.run("up")
    assert answer.exit_code == 0, answer.stdout


def elsewhere(person: Person, folder: Path, *arguments: str | Path) -> Answer:
    """A command in another folder."""
    done = subprocess.run(
        arguments if arguments[0] == PLAIN_PYTHON else [COMMAND, *arguments],
        cwd=folder,
        env=person.environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Answer(done.returncode, done.stdout, done.stderr)


def roles(person: Person) -> str:
    query = "select rolname from pg_roles where rolname = 'reporting'"
    pod = ("exec", "-n", "learnflow", "postgres-0", "--")
    return person.kubectl(*pod, "psql", "-U", "postgres", "-Atc", query).strip()


def test_a_missing_file_removes_nothing(declared: Person, tmp_path: Path) -> None:
    answer = elsewhere(declared, tmp_path, "up", "--json")
    assert (answer.exit_code, answer.codes) == (2, ["settings-not-found"])
    (found,) = answer.json["findings"]
    file = declared.folder / FILE
    assert str(file) in found["message"]
    assert roles(declared) == "reporting"

    command = found["remedy"].split("`")[1]
    answer = elsewhere(declared, tmp_path, *shlex.split(command)[1:], "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["changed"] == []
    assert roles(declared) == "reporting"


def test_another_machine_is_told_without_the_path(declared: Person, tmp_path: Path) -> None:
    state = declared.environment["HOME"] + "/.local/state/learnflow-infra/deployments.json"
    Path(state).unlink()
    answer = elsewhere(declared, tmp_path, "up", "--json")
    assert (answer.exit_code, answer.codes) == (2, ["settings-not-found"])
    assert "`learnflow-infra up --settings FILE`" in answer.json["findings"][0]["remedy"]
    record = declared.kubectl("get", "configmap", "learnflow-settings", "-n", "learnflow", "-oyaml")
    assert str(declared.folder) not in record


def test_the_defaults_are_to_be_had_by_an_empty_file(declared: Person, tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text('[images]\nsource = "packages"\n')
    answer = elsewhere(declared, tmp_path, "up", "--settings", "empty.toml")
    assert answer.exit_code == 0, answer.stdout
    assert f"the last `up` was with …{str(declared.folder / FILE)[-59:]}" in answer.stdout
    assert roles(declared) == ""


def test_a_file_is_asked_for_as_long_as_the_data_is_kept(declared: Person, tmp_path: Path) -> None:
    answer = declared.run("down")
    assert answer.exit_code == 0, answer.stdout
    answer = elsewhere(declared, tmp_path, "up", "--json")
    assert (answer.exit_code, answer.codes) == (2, ["settings-not-found"])


def test_commands_say_which_file_they_used(declared: Person, tmp_path: Path) -> None:
    for command in ("verify", "status", "diagnose"):
        inside, outside = declared.run(command), elsewhere(declared, tmp_path, command)
        assert "settings: learnflow-app/…/infra.toml" in inside.stdout
        assert "settings: the defaults, no infra.toml found" in outside.stdout
    assert len(declared.run("verify").stdout.encode()) <= 400
    assert declared.run("verify", "--json").json["cluster"]["settings"].endswith(FILE)
    assert declared.run("render").stdout.startswith("# Settings: learnflow-app/…/infra.toml\n")


def test_an_installed_skill_goes_by_its_own_projects_settings(
    declared: Person, tmp_path: Path
) -> None:
    installed = declared.run("skills", "install", str(declared.folder))
    assert installed.exit_code == 0
    other = tmp_path / FILE
    other.parent.mkdir(parents=True)
    other.write_text('[images]\nsource = "packages"\n')
    for place in (".claude/skills", ".agents/skills"):
        script = declared.folder / place / "postgres-k8s-setup/scripts/deploy.py"
        answer = elsewhere(declared, tmp_path, PLAIN_PYTHON, script, "--json")
        assert answer.exit_code == 0, answer.stdout + answer.stderr
        assert answer.json["cluster"]["settings"] == str(declared.folder / FILE)
        assert roles(declared) == "reporting"
