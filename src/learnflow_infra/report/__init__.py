"""The one place that prints: the result on standard output, the progress on standard error.

Everything is bounded here, and what came from a cluster is stripped of control characters.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TextIO

from learnflow_infra.findings.causes import CAUSES, Exit, order
from learnflow_infra.findings.failures import Finding
from learnflow_infra.findings.verdict import Verdict

SCHEMA = "learnflow-infra/report/v1"
_MOST_FINDINGS = 5
_MOST_ROW = 200
_MOST_CHANGES = 2
_MOST_BYTES = 2000
_MOST_JSON_BYTES = 4000
_MOST_PROGRESS = 100
_PRINTING = ("render", "role", "env")  # what other programs read
# How long a string and how many members of a list or object may be, tried in this order.
_CUTS = ((1000, 100), (400, 50), (200, 20), (80, 10), (40, 8))


@dataclass(frozen=True)
class Check:
    """One thing looked at: `ok`, `warn` with a remedy, `FAIL` with a finding, `-` if not used."""

    name: str
    message: str
    level: Literal["ok", "warn", "FAIL", "-"] = "ok"
    remedy: str = ""
    finding: Finding | None = None

    @classmethod
    def failed(cls, name: str, cause: Finding) -> Check:
        return cls(name, f"{cause.code}: {cause.message}", "FAIL", cause.remedy, cause)


@dataclass
class Report:
    """What a command ends with."""

    command: str
    services: Sequence[Verdict] = ()
    checks: Sequence[Check] = ()
    findings: Sequence[Finding] = ()
    cluster: Mapping[str, str] = field(default_factory=dict)
    changed: Sequence[str] | None = None
    """What was written, where the command writes; None where it does not."""
    lines: Sequence[str] = ()
    """The text of a command that has more to say than verdicts."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """The same for JSON."""
    rest: str = ""
    """What the user asked for beside it."""
    seconds: float = 0.0
    ended: int | None = None
    """The exit code of the user's own command that ran, which has said all there is to say."""

    @property
    def all_findings(self) -> list[Finding]:
        """One a cause, the most blocking service's first."""
        by_service: dict[str | None, list[Finding]] = {}
        for each in self.unmerged_findings:
            by_service.setdefault(each.service, []).append(each)
        ordered = sorted(by_service.values(), key=lambda found: order(found[0].code))
        return _merged(each for found in ordered for each in found)[:_MOST_FINDINGS]

    @property
    def unmerged_findings(self) -> list[Finding]:
        checked = [each.finding for each in self.checks if each.finding]
        judged = [each for one in self.services for each in one.findings]
        return [*self.findings, *checked, *judged]

    @property
    def exit_code(self) -> Exit:
        found = self.all_findings
        return CAUSES[found[0].code].exit if found else Exit.DONE


def _merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding where services show the same cause."""
    merged: dict[tuple[str, str], Finding] = {}
    for each in findings:
        key = (each.code, "" if CAUSES[each.code].shared else _nameless(each))
        same = merged.setdefault(key, each)
        if each.service not in (None, *(same.service or "").split(", ")):
            services = ", ".join(filter(None, (same.service, each.service)))
            merged[key] = replace(same, service=services)
    return list(merged.values())


def _nameless(cause: Finding) -> str:
    """Its message without the service's names and without figures."""
    text = re.sub(rf"{cause.service}[-\w]*", "", cause.message) if cause.service else cause.message
    return re.sub(r"\d+", "", text)


def clean(text: str) -> str:
    """Text from outside as one printable line."""
    return "".join(char if char.isprintable() else " " for char in text)


def to_json(report: Report) -> str:
    """The report as one JSON object; its schema is docs/report.schema.json."""
    body: dict[str, Any] = {
        "schema": SCHEMA,
        "command": report.command,
        "ok": report.exit_code is Exit.DONE,
        "exit_code": int(report.exit_code),
        "seconds": round(report.seconds, 2),
        "services": [
            {
                "name": each.name,
                "ok": each.ok,
                "pods": {"ready": each.ready, "total": each.total},
                "seconds": round(each.seconds, 2),
                "endpoint": each.endpoint,
                "image": each.image,
            }
            for each in report.services
        ],
        "findings": [
            {
                "code": each.code,
                "service": each.service,
                "message": clean(each.message),
                "remedy": clean(each.remedy),
            }
            for each in report.all_findings
        ],
    }
    if report.checks:
        body["checks"] = [
            {
                "name": each.name,
                "level": each.level,
                "said": clean(each.message),
                "remedy": clean(each.remedy),
            }
            for each in report.checks
        ]
    if report.cluster:
        body["cluster"] = dict(report.cluster)
    if report.changed is not None:
        body["changed"] = list(report.changed)
    body |= report.details
    text = _compact(body)
    if report.command in _PRINTING:  # what it is asked for is the whole
        return text
    for characters, members in _CUTS:
        if len(text) <= _MOST_JSON_BYTES:
            break
        shorter = {key: _cut(value, characters, members) for key, value in body.items()}
        text = _compact(shorter | {"cut": True})
    return text


def _compact(body: object) -> str:
    return json.dumps(body, separators=(",", ":"))


def _cut(value: Any, characters: int, members: int) -> Any:
    """The same with shorter strings, lists and objects."""
    if isinstance(value, str):
        return _shortened(value, characters, lambda text: len(json.dumps(text)))
    if isinstance(value, list):
        return [_cut(each, characters, members) for each in value[:members]]
    if isinstance(value, dict):
        kept = list(value.items())[:members]
        return {key: _cut(each, characters, members) for key, each in kept}
    return value


def _shortened(text: str, most: int, measure: Callable[[str], int] = len) -> str:
    """As much of a text as measures no more; JSON escapes characters as up to twelve others."""
    if measure(text) <= most:
        return text
    room = range(len(text) + 1)
    end = bisect_right(room, most, key=lambda n: measure(text[:n] + "…"))
    return text[: max(end - 1, 0)] + "…"


def to_text(report: Report, color: bool) -> str:
    """The report as text for the user."""
    lines = [clean(line) for line in report.lines]
    for each in report.services:
        mark = _paint("ok  ", "32", color) if each.ok else _paint("FAIL", "31", color)
        row = f"{each.name:<9} {mark} {each.ready}/{each.total} pods  {each.seconds:.1f} s"
        image = f"  {each.image} image" if each.image else ""
        lines.append(f"{row}  {each.endpoint}{image}".rstrip())
    for check in report.checks:
        lines += _row(check, color)
    if report.services and not report.all_findings:
        lines.append("proved: pods, volumes, round trips in the cluster and from the host")
    for cause in () if report.checks else report.all_findings:
        where = f"{cause.service}: " if cause.service else ""
        lines.append(f"{_paint(cause.code, '31', color)}  {where}{clean(cause.message)}")
        lines.append(f"  -> {clean(cause.remedy)}")
    if report.changed is not None:
        lines.append(_changes(report.changed))
    text = "\n".join(lines)
    return _bounded(text) if report.services or report.checks or report.findings else text


def _row(check: Check, color: bool) -> list[str]:
    paint = {"ok": "32", "warn": "33", "FAIL": "31", "-": "2"}[check.level]
    level = _paint(f"{check.level:<4}", paint, color)
    row = f"{check.name:<14} {level} {clean(check.message)[:_MOST_ROW]}"
    return [row, f"  -> {clean(check.remedy)}"] if check.remedy else [row]


def _changes(changed: Sequence[str]) -> str:
    if not changed:
        return "nothing to change"
    more = len(changed) - _MOST_CHANGES
    listed = ", ".join(changed[:_MOST_CHANGES]) + (f" and {more} more" if more > 0 else "")
    return f"changed: {listed}"


def _bounded(text: str) -> str:
    data = text.encode()
    if len(data) <= _MOST_BYTES:
        return text
    return data[: _MOST_BYTES - 4].decode(errors="ignore") + "…"


def _paint(text: str, code: str, color: bool) -> str:
    return f"\033[{code}m{text}\033[0m" if color else text


def wants_color(stream: TextIO) -> bool:
    """Colour only on a terminal, and not under NO_COLOR (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def emit(report: Report, *, as_json: bool) -> None:
    """Print a report to standard output, and the rest to standard error."""
    # What is piped into another program is what it reads, or nothing.
    piped = report.command in _PRINTING and bool(report.all_findings) and not as_json
    stream = sys.stderr if piped else sys.stdout
    text = to_json(report) if as_json else to_text(report, wants_color(stream))
    if text:
        print(text, file=stream, flush=True)
    print(report.rest, file=sys.stderr, end="", flush=True)


def agreed(question: str) -> bool:
    """Ask on standard error; only `y` or `yes` on standard input is a yes."""
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


class Progress:
    """Progress on standard error: one line, rewritten, on a terminal; a line a step off it."""

    def __init__(self) -> None:
        self._stream = sys.stderr
        self._live = self._stream.isatty() and os.environ.get("TERM") != "dumb"
        self._started = time.monotonic()
        self._open = False
        self._last: dict[str, str] = {}

    def say(self, text: str) -> None:
        """One step, in a few words. What was last said of the same thing is not said again."""
        subject = text.partition(":")[0]
        if self._last.get(subject) == text:
            return
        self._last[subject] = text
        line = f"[{time.monotonic() - self._started:5.1f} s] {clean(text)}"
        if self._live:
            width = min(_MOST_PROGRESS, max(20, _columns()) - 1)
            self._stream.write(f"\r\033[K{_shortened(line, width)}")
            self._open = True
        else:
            self._stream.write(_shortened(line, _MOST_PROGRESS) + "\n")
        self._stream.flush()

    def note(self, text: str) -> None:
        """A line that the user is to read whole, and that stays."""
        self.close()
        self._stream.write(f"{clean(text)}\n")
        self._stream.flush()

    def close(self) -> None:
        """Leave a clean line behind."""
        if self._open:
            self._stream.write("\r\033[K")
            self._stream.flush()
            self._open = False


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 80
