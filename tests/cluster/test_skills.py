"""The two skills, as an agent finds and uses them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from report_schema import valid

from .conftest import COMMAND, Person

SKILLS = sorted((Path(__file__).parents[2] / "skills").iterdir())
ALLOWED = {"name", "description", "license", "compatibility", "metadata", "allowed-tools"}
PLAIN_PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or "python3"


@pytest.mark.parametrize("skill", SKILLS, ids=lambda each: each.name)
def test_a_skill_keeps_the_specification(skill: Path) -> None:
    text = (skill / "SKILL.md").read_text()
    _, front, body = text.split("---\n", 2)
    fields = yaml.safe_load(front)
    assert set(fields) <= ALLOWED
    assert fields["name"] == skill.name
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", skill.name)
    assert 1 <= len(fields["description"]) <= 1024
    assert len(fields["compatibility"]) <= 500
    assert len(body.splitlines()) < 500
    for link in re.findall(r"\]\(([^)]+)\)", body):
        assert (skill / link).is_file()


def test_both_skills_are_there_and_share_their_door() -> None:
    assert [each.name for each in SKILLS] == ["kafka-k8s-setup", "postgres-k8s-setup"]
    doors = {(each / "scripts" / "door.py").read_text() for each in SKILLS}
    assert len(doors) == 1


@pytest.mark.parametrize("skill", SKILLS, ids=lambda each: each.name)
def test_verify_runs_under_a_plain_python_from_any_folder(
    deployed: Person, skill: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [PLAIN_PYTHON, skill / "scripts" / "verify.py", "--json"],
        cwd=tmp_path,
        env=deployed.environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert valid(done.stdout)["ok"]


def test_installed_skills_find_the_package_from_where_they_are(
    deployed: Person, tmp_path: Path
) -> None:
    answer = deployed.run("skills", "install", str(tmp_path))
    assert answer.exit_code == 0
    for place in (".claude/skills", ".agents/skills"):
        script = tmp_path / place / "kafka-k8s-setup" / "scripts" / "deploy.py"
        done = subprocess.run(
            [PLAIN_PYTHON, script, "--json"],
            cwd=deployed.folder,
            env=deployed.environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert valid(done.stdout)["changed"] == []


def test_a_skill_without_the_package_says_what_brings_it(tmp_path: Path) -> None:
    project = tmp_path / "a project"
    skill = project / ".claude/skills/kafka-k8s-setup"
    shutil.copytree(SKILLS[0], skill)

    def verify(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PLAIN_PYTHON, skill / "scripts" / "verify.py", *arguments],
            env={"PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = verify()
    assert done.returncode == 3
    made, installed = re.findall("`(.*?)`", done.stderr)
    assert made == "make install"
    program, *arguments = shlex.split(installed)
    assert program == f".venv/bin/{COMMAND.name}"
    subprocess.run([COMMAND, *arguments], check=True, capture_output=True, timeout=60)
    assert "usage: learnflow-infra verify" in verify("--help").stdout


def test_skills_cannot_be_installed_where_nothing_can_be_written(
    deployed: Person, tmp_path: Path
) -> None:
    answer = deployed.run("skills", "install", "/proc/nowhere", "--json")
    assert answer.exit_code == 2
    assert answer.codes == ["folder-unwritable"]
    assert deployed.run("skills", "install", str(tmp_path)).exit_code == 0
