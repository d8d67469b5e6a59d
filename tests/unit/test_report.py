"""What people and scripts read at the end, and how long it may be."""

from __future__ import annotations

import io
import json

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra import causes, paths, report
from learnflow_infra.causes import CAUSES
from learnflow_infra.failures import finding
from learnflow_infra.prove import Verdict

SCHEMA = json.loads((paths.shipped("skills").parent / "docs/report.schema.json").read_text())

GOOD = report.Report(
    "verify",
    [
        Verdict("kafka", 3, 3, 12.34, "kafka.learnflow.svc:9092", "compatible"),
        Verdict("postgres", 1, 1, 1.0, "postgres.learnflow.svc:5432", "compatible"),
    ],
    cluster={"context": "minikube", "namespace": "learnflow"},
    seconds=12.5,
)


def test_success_for_both_is_at_most_400_bytes_of_text_and_1500_of_json() -> None:
    assert len(report.to_text(GOOD, color=False).encode()) <= 400
    assert len(report.to_json(GOOD).encode()) <= 1500
    jsonschema.validate(json.loads(report.to_json(GOOD)), SCHEMA)


@given(st.lists(st.text(max_size=5000), min_size=1, max_size=30))
def test_a_failure_is_at_most_2000_bytes_whatever_it_holds(messages: list[str]) -> None:
    verdict = Verdict("kafka", findings=[finding("round-trip-failed", text) for text in messages])
    text = report.to_text(report.Report("verify", [verdict]), color=False)
    assert len(text.encode()) <= 2000
    assert all(char.isprintable() or char == "\n" for char in text)


def test_the_exit_code_is_that_of_the_first_finding() -> None:
    first = finding("room-missing", "full")
    second = finding("pods-not-ready", "0 of 1")
    assert report.Report("up", findings=[first, second]).exit_code == 4
    assert report.Report("up", findings=[second, first]).exit_code == 1
    assert GOOD.exit_code == 0


@pytest.mark.parametrize("code", CAUSES)
def test_every_cause_says_what_it_means_and_what_to_do(code: str) -> None:
    cause = CAUSES[code]
    assert cause.meaning.endswith(".")
    assert cause.remedy.endswith(".")
    body = json.loads(report.to_json(report.Report("up", findings=[finding(code, "x")])))
    jsonschema.validate(body, SCHEMA)
    assert body["exit_code"] == cause.exit


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_is_for_terminals_that_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert report.wants_color(Terminal())
    assert not report.wants_color(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not report.wants_color(Terminal())
    assert "\033" not in report.to_text(GOOD, color=False)


def test_the_page_of_causes_is_the_table_s() -> None:
    page = paths.shipped("skills").parent / "docs/causes.md"
    assert page.read_text() == causes.reference(), "make docs"
