"""The page of what an intruder tries, as a run showed it: every test that carries the marker.

    @pytest.mark.intruder("connects to Kafka without a password", by="SCRAM-SHA-512")

`{}` in the words stands for the test's parameter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parents[1] / "docs/attempts.md"
_HEAD = """\
# What an intruder tries

Each line was tried for real on a running deployment and refused. Written by `make security`, which
fails where one gets through. Beside them, everything that a deployment's life prints, writes,
stores in the cluster or starts is searched for every secret that it made, and none is found.

{} attempts:

| an intruder … | refused by |
|---|---|
"""


class Attempts:
    """Collects the marked tests that passed, and writes the page if none failed."""

    def __init__(self) -> None:
        self._rows: dict[str, tuple[str, str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Any:
        report: pytest.TestReport = yield
        marker = item.get_closest_marker("intruder")
        if marker and report.when == "call" and report.passed:
            call = getattr(item, "callspec", None)
            words = marker.args[0].format(call.id if call else "")
            self._rows[item.nodeid] = (words, marker.kwargs["by"])
        return report

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if session.testsfailed == 0 and self._rows:
            rows = sorted(set(self._rows.values()), key=lambda row: (row[1], row[0]))
            table = "".join(f"| {words} | {by} |\n" for words, by in rows)
            PAGE.write_text(_HEAD.format(len(rows)) + table)
