"""Of a log, the few lines that say why: chosen, cut, quoted, without secrets or control codes.

A log is the word of whatever ran in a container: nothing in it may pass for this tool's own.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from learnflow_infra.diagnosis.reasons import cause_of_log
from learnflow_infra.diagnosis.redaction import redacted

MOST_LINES = 3
MOST_CHARACTERS = 160

_ERROR = re.compile(r"ERROR|FATAL|PANIC|Exception\b|Error:|Caused by|no space left", re.IGNORECASE)
_STRONG = re.compile(r"FATAL|PANIC|Caused by|OutOfMemoryError|no space left", re.IGNORECASE)
_FRAME = re.compile(r"^\s*(at |\.\.\. \d+ more)")
_OWN = re.compile(
    r"\b(ok|FAIL)\W+\d+/\d+ pods|\bproved\b|^-> |learnflow-infra|"
    r'"(ok|exit_code|findings|remedy)"\s*:',
    re.IGNORECASE,
)


def excerpt(log: bytes, secrets: Collection[str], *, cut: bool) -> Sequence[str]:
    """At most three quoted lines around the last error, else the last ones.

    With `cut`, the log's end is missing, and with it perhaps the rest of a secret.
    """
    hidden = sorted(secrets, key=len, reverse=True)
    text = log.decode(errors="replace")
    if cut and hidden:
        text = text[: -len(hidden[0])]
    lines = [_clean(line, hidden) for line in text.split("\n")]
    lines = [line for line in lines if line and not _FRAME.match(line) and not _OWN.search(line)]
    return [_quoted(line) for line in _chosen(lines)]


def _chosen(lines: Sequence[str]) -> Sequence[str]:
    errors = [line for line in lines if _ERROR.search(line)]
    strong = [line for line in errors if _STRONG.search(line)]
    known = [line for line in lines if cause_of_log(line)]
    # What failed first is worth the most, then what the failure was put down to.
    chosen = dict.fromkeys(
        [*known[:1], *errors[:1], *strong[-2:], *errors[-2:]] or lines[-MOST_LINES:]
    )
    picked = set(list(chosen)[:MOST_LINES])
    return list(dict.fromkeys(line for line in lines if line in picked))


def _clean(line: str, secrets: Sequence[str]) -> str:
    return " ".join(redacted(line, secrets).split())


def _quoted(line: str) -> str:
    found = _ERROR.search(line)
    start = max(0, found.start() - 60) if found and found.start() > MOST_CHARACTERS // 2 else 0
    part = line[start : start + MOST_CHARACTERS - 2].replace('"', "'")
    return f'"{part}"'
