"""When an object in the cluster is as desired."""

from __future__ import annotations

from typing import Any

import pytest

from learnflow_infra.pipeline.apply import satisfied


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
