"""What people and scripts read at the end, and how long it may be."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra import report, settings
from learnflow_infra.findings.causes import CAUSES
from learnflow_infra.findings.failures import Finding, finding
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.host import paths
from report_schema import SCHEMA, valid

GOOD = report.Report(
    "verify",
    [
        Verdict("kafka", 3, 3, 12.34, "kafka.learnflow.svc:9092", "compatible"),
        Verdict("postgres", 1, 1, 1.0, "postgres.learnflow.svc:5432", "compatible"),
    ],
    cluster={"context": "minikube", "namespace": "learnflow", "settings": "infra.toml"},
    seconds=12.5,
)


def test_success_for_both_is_at_most_400_bytes_of_text_and_1500_of_json() -> None:
    assert len(report.to_text(GOOD, color=False).encode()) <= 400
    assert len(report.to_json(GOOD).encode()) <= 1500
    valid(report.to_json(GOOD))


def test_a_first_up_is_at_most_400_bytes_of_text() -> None:
    made = ["namespace/learnflow", "configmap/learnflow-settings", "secret/learnflow-authority"]
    place = settings.shown(Path.cwd() / settings.PLACE)
    lines = [f"context learnflow-local, namespace learnflow, settings: {place}"]
    changed = [*made, *(f"secret/{n}" for n in range(24))]
    verdicts = [replace(each, ready=3, total=3, seconds=12.3) for each in GOOD.services]
    text = report.to_text(report.Report("up", verdicts, lines=lines, changed=changed), color=False)
    assert len(text.encode()) <= 400


@given(st.lists(st.text(max_size=5000), min_size=1, max_size=30))
def test_a_failure_is_at_most_2000_bytes_whatever_it_holds(messages: list[str]) -> None:
    verdict = Verdict("kafka", findings=[finding("round-trip-failed", text) for text in messages])
    text = report.to_text(report.Report("verify", [verdict]), color=False)
    assert len(text.encode()) <= 2000
    assert all(char.isprintable() or char == "\n" for char in text)


@given(st.lists(st.text(max_size=5000), min_size=1, max_size=30))
def test_json_is_valid_and_at_most_4000_bytes_whatever_it_holds(messages: list[str]) -> None:
    verdict = Verdict("kafka", findings=[finding("round-trip-failed", text) for text in messages])
    end = report.Report("up", [verdict], changed=messages, details={"notes": messages})
    text = report.to_json(end)
    assert len(text.encode()) <= 4000
    valid(text)


def test_the_exit_code_is_that_of_the_first_finding() -> None:
    first = finding("room-missing", "full")
    second = finding("pods-not-ready", "0 of 1")
    assert report.Report("up", findings=[first, second]).exit_code == 4
    assert report.Report("up", findings=[second, first]).exit_code == 1
    assert GOOD.exit_code == 0


def both(kafka: list[Finding], postgres: list[Finding]) -> list[tuple[str | None, str]]:
    """What is reported when each service has its findings."""
    verdicts = [Verdict("kafka", findings=kafka), Verdict("postgres", findings=postgres)]
    found = report.Report("up", verdicts).all_findings
    return [(each.service, each.code) for each in found]


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("unschedulable-memory", "{0}-0: 0/1 nodes are available: 1 Insufficient memory."),
        ("quota-exceeded", 'pods "{0}-0" is forbidden: exceeded quota: x, used: memory={1}Mi'),
        ("name-unknown", "{0}-nodes.learnflow.svc: no such name"),
        ("image-registry-unreachable", "dial tcp: lookup of {1} failed"),
    ],
)
def test_one_cause_in_both_services_is_one_finding(code: str, message: str) -> None:
    kafka = finding(code, message.format("kafka", 768), service="kafka")
    postgres = finding(code, message.format("postgres", 256), service="postgres")
    assert both([kafka], [postgres]) == [("kafka, postgres", code)]


def test_crashes_for_different_reasons_are_two() -> None:
    kafka = finding("container-crashing", "kafka-0: exit code 1; no such file", service="kafka")
    postgres = finding("container-crashing", "postgres-0: exit code 1; no", service="postgres")
    assert len(both([kafka], [postgres])) == 2


def test_the_most_blocking_service_comes_first() -> None:
    passed = finding("deadline-passed", "0 of 1", service="kafka")
    probing = finding("pods-not-ready", "kafka-0", service="kafka")
    quota = finding("quota-exceeded", "full", service="postgres")
    assert both([passed, probing], [quota]) == [
        ("postgres", "quota-exceeded"),
        ("kafka", "deadline-passed"),
        ("kafka", "pods-not-ready"),
    ]


@pytest.mark.parametrize("code", CAUSES)
def test_every_cause_says_what_it_means_and_what_to_do(code: str) -> None:
    cause = CAUSES[code]
    assert cause.meaning.endswith(".")
    assert cause.remedy.endswith(".")
    body = valid(report.to_json(report.Report("up", findings=[finding(code, "x")])))
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
    root = paths.shipped("learnflow-app").parent
    made = subprocess.check_output([sys.executable, str(root / "tools/causes.py")], text=True)
    assert (root / "docs/causes.md").read_text() == made, "make docs"


def objects_in(schema: object) -> Iterator[dict[str, Any]]:
    """Each part of a schema that describes an object."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield schema
        for each in schema.values():
            yield from objects_in(each)


def test_no_object_of_the_schema_is_left_open() -> None:
    manifests = SCHEMA["properties"]["manifests"]["items"]
    for each in objects_in(SCHEMA):
        assert each["additionalProperties"] is not True or each is manifests


def test_what_is_no_member_of_a_service_is_no_optional_one_either() -> None:
    """A search and replace once put doctor's checks into every service."""
    for each in objects_in(SCHEMA):
        if each is not SCHEMA and "properties" in each:
            assert set(each["required"]) == set(each["properties"])
    body = json.loads(report.to_json(GOOD))
    body["services"][0]["checks"] = []
    with pytest.raises(jsonschema.ValidationError, match="'checks' was unexpected"):
        valid(json.dumps(body))


def test_a_member_that_the_schema_does_not_have_is_refused() -> None:
    with pytest.raises(jsonschema.ValidationError, match="'stats' was unexpected"):
        valid(report.to_json(report.Report("status", details={"stats": []})))


CHECKED = report.Report(
    "doctor",
    cluster=GOOD.cluster,
    checks=[
        report.Check("python", "3.11"),
        report.Check("minikube", "there is none", "-"),
        report.Check("disk", "1 GiB free", "warn", "Free some."),
        report.Check.failed("room", finding("room-missing", "full")),
    ],
)


def test_the_checks_of_doctor_are_as_the_schema_says() -> None:
    levels = [each["level"] for each in valid(report.to_json(CHECKED))["checks"]]
    assert levels == ["ok", "-", "warn", "FAIL"]


def test_progress_repeats_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    progress = report.Progress()
    said = ["kafka: 0 of 1", "kafka: 1 of 1", "postgres: 1 of 1", "kafka: 1 of 1", "kafka: 0 of 1"]
    for each in said:
        progress.say(each)
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition("] ")[2] for line in lines] == [*said[:3], said[4]]


@pytest.mark.parametrize("terminal", [False, True])
def test_a_line_of_progress_is_short(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(report, "_columns", lambda: 1000)
    report.Progress().say("postgres:17: no registry gave it (" + "dial\ntcp " * 50)
    line = stream.getvalue().removeprefix("\r\033[K").rstrip("\n")
    assert len(line) == 100
    assert line.endswith("…")
