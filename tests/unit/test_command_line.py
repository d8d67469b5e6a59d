"""What the command line takes, and what it says when it does not."""

from __future__ import annotations

import importlib
import inspect
import io
import re
import subprocess
import sys
from pathlib import Path

import pytest

from learnflow_infra import cli
from learnflow_infra.host import paths
from report_schema import valid

ROOT = paths.shipped("learnflow-app").parent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "required: COMMAND"),
        (["upp"], "invalid choice: 'upp'"),
        (["up", "mysql"], "'mysql' is no service of the settings; there are kafka, postgres"),
        (["up", "--timeout", "soon"], "invalid number of seconds value: 'soon'"),
        (["up", "--timeout", "0"], "invalid number of seconds value: '0'"),
        (["up", "--cluster", "kind"], "invalid choice: 'kind'"),
        (["up", "--cluster", "local", "--context", "x"], "not allowed with"),
        (["cluster"], "required: ACTION"),
        (["down", "--pur"], "unrecognized arguments: --pur"),
        (["cluster", "down", "--pur"], "unrecognized arguments: --pur"),
        (["up", "--settings", "/nowhere.toml"], "/nowhere.toml: cannot be read"),
    ],
)
def test_wrong_usage_is_a_sentence_and_exit_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.run([*arguments, "--json"]) == 2
    body = valid(capsys.readouterr().out)
    assert said in body["findings"][0]["message"]
    assert body["findings"][0]["remedy"]
    assert cli.run(arguments) == 2
    assert said in capsys.readouterr().out


def test_render_asks_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["render", "--json"]) == 0
    body = valid(capsys.readouterr().out)
    kinds = {each["kind"] for each in body["manifests"]}
    assert kinds == {"Namespace", "ConfigMap", "NetworkPolicy", "Service", "StatefulSet"}


def test_skills_install_says_where(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert cli.run(["skills", "install", str(tmp_path), "--json"]) == 0
    installed = valid(capsys.readouterr().out)["installed"]
    assert len(installed) == 4
    assert all(Path(each, "SKILL.md").is_file() for each in installed)


def test_role_asks_no_cluster(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["role", "--json"]) == 0
    kinds = [each["kind"] for each in valid(capsys.readouterr().out)["manifests"]]
    assert kinds == ["Namespace", "Role", "ClusterRole"]


def test_the_reference_of_the_commands_is_the_parser_s() -> None:
    program = [sys.executable, str(ROOT / "tools/commands.py")]
    page = subprocess.run(program, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs/commands.md").read_text() == page, "make docs"


def test_the_readme_tells_of_every_command_and_of_no_other() -> None:
    section = (ROOT / "README.md").read_text().split("## Commands")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = [each for row in rows for each in re.findall(r"`([a-z ]+[a-z])", row)]
    assert sorted(named) == sorted(cli.COMMANDS)
    page = (ROOT / "docs/commands.md").read_text()
    for option in re.findall(r"--[a-z]+", section):
        assert f"`{option}" in page


def test_help_imports_nothing_heavy() -> None:
    program = "import sys; from learnflow_infra import cli\ntry: cli.run(['--help'])\n"
    program += "except SystemExit: pass\nprint(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    loaded = set(done.stderr.split())
    assert not loaded & {"typing", "dataclasses", "kafka", "pg8000", "http.client", "asyncio"}
    ours = {each for each in loaded if each.startswith("learnflow_infra")}
    assert ours == {"learnflow_infra", "learnflow_infra.cli"}


def test_a_broken_pipe_is_no_traceback(tmp_path: Path) -> None:
    script = f"{sys.executable} -m learnflow_infra render 2>{tmp_path}/errors | true"
    subprocess.run(["sh", "-c", script], check=True)
    assert "Traceback" not in (tmp_path / "errors").read_text()


def test_a_purge_that_nobody_can_confirm_is_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert cli.run(["down", "--purge", "--json", "--context", "nowhere"]) == 2
    (found,) = valid(capsys.readouterr().out)["findings"]
    assert found["code"] == "usage"
    assert "--yes" in found["remedy"]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_each_row_of_the_table_has_its_function(name: str) -> None:
    word = name.split()[0]
    module = importlib.import_module(f"learnflow_infra.commands.{word}")
    (parameter,) = inspect.signature(getattr(module, word)).parameters.values()
    assert parameter.annotation == "Request"
