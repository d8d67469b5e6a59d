"""A scope that a settings file declared is not deployed anew without one."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from fake_api import Answer, kube, status

from learnflow_infra.cluster import deployments
from learnflow_infra.cluster.deployments import Deployment
from learnflow_infra.findings.failures import Failure
from learnflow_infra.pipeline import declared
from learnflow_infra.services.registry import sections
from learnflow_infra.settings import load, parse

DEFAULTS = parse({}, sections)
RECORD = Answer(200, json.dumps(declared.record(DEFAULTS)))


def test_it_is_refused_with_the_file_that_is_known_here(tmp_path: Path) -> None:
    file = str(tmp_path / "it's mine" / "infra.toml")
    deployments.record("learnflow", Deployment("somewhere", file))
    with kube(tmp_path, lambda *_: RECORD) as api, pytest.raises(Failure) as refused:
        declared.require_file(api, DEFAULTS)
    (found,) = refused.value.findings
    assert found.code == "settings-not-found"
    assert file in found.message
    command = found.remedy.split("`")[1]
    assert shlex.split(command) == ["learnflow-infra", "up", "--settings", file]


def test_what_is_not_known_here_is_not_made_up(tmp_path: Path) -> None:
    with kube(tmp_path, lambda *_: RECORD) as api, pytest.raises(Failure) as refused:
        declared.require_file(api, DEFAULTS)
    assert "--settings FILE" in refused.value.findings[0].remedy


def test_with_a_file_or_without_a_record_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    others = {"kind": "ConfigMap", "metadata": {"name": "learnflow-settings", "labels": {}}}
    with kube(tmp_path, lambda *_: RECORD) as api:
        declared.require_file(api, load(str(tmp_path / "empty.toml"), sections))
    for answer in (status(404, "NotFound"), Answer(200, json.dumps(others))):
        (folder := tmp_path / f"{answer.status}").mkdir()
        with kube(folder, lambda *_, answer=answer: answer) as api:
            declared.require_file(api, DEFAULTS)


def test_the_record_says_nothing_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "infra.toml").touch()
    made = declared.record(load(str(tmp_path / "infra.toml"), sections))
    assert str(tmp_path) not in json.dumps(made)
    assert made["data"] == {
        "declared-by": "infra.toml",
        "kafka": "topic learnflow.events\nuser learnflow",
        "postgres": "database learnflow\nrole learnflow",
    }


def test_what_is_no_longer_declared_and_kept_is_said() -> None:
    kafka = {"topics": [{"name": name} for name in "abcdef"], "users": [{"name": "billing"}]}
    before = declared.record(parse({"kafka": kafka}, sections))
    assert declared.kept(before, DEFAULTS) == [
        "kafka: no longer declared, and kept: topic a, topic b, topic c, topic d and 2 more"
    ]
    assert declared.kept(declared.record(DEFAULTS), DEFAULTS) == []
    assert declared.kept(None, DEFAULTS) == []
