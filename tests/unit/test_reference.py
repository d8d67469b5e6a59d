"""What is told of settings: the file to start from, the schema, each setting, the skills' page."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import jsonschema
import pytest

from learnflow_infra import cli, settings
from learnflow_infra.host import paths
from learnflow_infra.services import registry
from learnflow_infra.settings import PLACE, every_section, reference

ROOT = paths.shipped("learnflow-app").parent
SECTIONS = every_section(registry.sections(None))
SCHEMA = reference.schema(SECTIONS)


def test_what_is_generated_is_the_table_s(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(ROOT / "tools/settings.py"), str(tmp_path)], check=True)
    made = [each for each in tmp_path.rglob("*") if each.is_file()]
    assert len(made) == 4
    for each in made:
        assert (ROOT / each.relative_to(tmp_path)).read_text() == each.read_text(), "make docs"


def test_every_setting_says_what_it_is_for() -> None:
    silent = [
        line
        for name, kind in SECTIONS.items()
        for table in (kind, *reference.tables_of(kind).values())
        for line in map(str, reference.each_of(table))
        if line.rstrip().endswith(": .") or f"{name}: None" in line
    ]
    assert silent == []


def test_a_skill_s_page_takes_three_kilobytes() -> None:
    for service in registry.own():
        assert service.skill is not None
        page = service.skill / "references/settings.md"
        assert len(page.read_bytes()) <= 3072
        example = page.read_text().split("```toml\n")[1].split("```")[0]
        settings.parse(tomllib.loads(example), registry.sections)


def test_the_schema_takes_what_the_rules_take_and_no_more() -> None:
    table = tomllib.loads(reference.to_toml(SECTIONS, ["kafka"]))
    jsonschema.validate(table, SCHEMA)
    for wrong in (
        "[kafka]\nbroker = 1",
        "[kafka]\nbrokers = 2",
        "[[kafka.topics]]\npartitions = 1",
        "[kafka]\ntopics = [{name = 'a b'}]",
        "[postgres]\nmemory = '5'",
        "[postgres]\nhost_port = 80",
        "[cluster]\nnamespace = 3",
        "services = 'kafka'",
    ):
        found = tomllib.loads(wrong)
        with pytest.raises(ValueError, match=r".+"):
            settings.parse(found, registry.sections)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(found, SCHEMA)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("", "kafka: image, cpu"),
        ("services", "services: What is deployed"),
        ("kafka", "brokers: default 1, one of 1, 3. "),
        ("kafka.brokers", "kafka.brokers: default 1, one of 1, 3. "),
        ("kafka.topics", "  partitions: default 3, 1 to 1000. "),
        ("kafka.topics.partitions", "kafka.topics.partitions: default 3, 1 to 1000. "),
        ("postgres.memory", "standard 256Mi, small 192Mi."),
    ],
)
def test_a_setting_is_explained(path: str, says: str) -> None:
    assert any(says in line for line in reference.explained(SECTIONS, path))


@pytest.mark.parametrize("path", ["zookeeper", "kafka.broker", "kafka.brokers.x", "kafka.", "."])
def test_what_is_no_setting_is_wrong_usage(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["explain", path]) == 2
    assert f"{path}: no such setting" in capsys.readouterr().out


def test_a_file_to_start_from_is_written_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["init", str(tmp_path)]) == 0
    file = tmp_path / PLACE
    defaults = settings.parse({}, registry.sections)
    assert settings.load(str(file), registry.sections) == defaults
    assert json.loads(file.with_name("infra.schema.json").read_text()) == SCHEMA
    file.write_text("[kafka]\nbrokers = 3\n")
    assert cli.run(["init", str(tmp_path)]) == 0
    assert "is there already and was kept" in capsys.readouterr().out
    assert file.read_text() == "[kafka]\nbrokers = 3\n"


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert cli.run(["init", str(tmp_path / "file")]) != 0
    assert "folder-unwritable" in capsys.readouterr().out
