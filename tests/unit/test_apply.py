"""When an object in the cluster is as desired."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from fake_api import Answer, kube

from learnflow_infra.findings.failures import Failure
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import satisfied
from learnflow_infra.pipeline.apply import _write, marked
from learnflow_infra.pipeline.scope import Changes


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ({"a": 1}, {"a": 1, "defaulted": True}),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1, "c": 2}]}),
        ({}, {"anything": 1}),
        ({"env": [{"name": "A"}]}, {"env": [{"name": "B"}, {"name": "A", "value": ""}]}),
    ],
)
def test_what_others_added_does_not_matter(desired: Any, live: Any) -> None:
    assert satisfied(desired, live)


@pytest.mark.parametrize(
    ("desired", "live"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": 1}, {}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": [1, 2]}, {"a": [1]}),
        ({"a": {"b": 1}}, {"a": None}),
        ({"a": "1"}, {"a": 1}),
        ({"env": [{"name": "A", "value": "1"}]}, {"env": [{"name": "A", "value": "2"}]}),
        ({"env": [{"name": "A"}]}, {"env": []}),
    ],
)
def test_what_was_changed_is_noticed(desired: Any, live: Any) -> None:
    assert not satisfied(desired, live)


@pytest.mark.parametrize("labels", [manifests.labels("postgres"), {"app": "somebody's"}])
def test_what_another_command_made_meanwhile_is_ours_and_nobody_else_s(
    tmp_path: Path, labels: dict[str, str]
) -> None:
    manifest = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "settings", "namespace": "learnflow", "labels": labels},
        "data": {"a": "1"},
    }
    ours = manifests.in_scope(manifest)
    written: list[str] = []

    def respond(method: str, target: str) -> Answer:
        written.extend([target] if method != "GET" else [])
        return Answer(200, json.dumps(marked(manifest)))

    changes = Changes()
    with (
        kube(tmp_path, respond) as api,
        contextlib.nullcontext() if ours else pytest.raises(Failure, match="foreign-object"),
    ):
        _write(api, manifest, None, changes, fresh=False)
    assert (written, changes.changed) == ([], [])
