"""The table of causes: every code is one that a test expects, or says why none does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from learnflow_infra.findings.causes import CAUSES, Cause

TESTS = Path(__file__).parents[1]


def expected() -> str:
    """All that the tests' strings say."""
    return "\n".join(
        node.value if isinstance(node.value, str) else node.value.decode(errors="replace")
        for file in TESTS.rglob("*.py")
        if file != Path(__file__)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
    )


@pytest.fixture(scope="module")
def said() -> str:
    return expected()


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_code_is_expected_by_a_test_or_says_why_not(cause: Cause, said: str) -> None:
    tested = re.search(rf"(?<![\w-]){cause.code}(?![\w-])", said) is not None
    assert tested or cause.untested
