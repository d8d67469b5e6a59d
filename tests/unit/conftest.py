"""Shared by the unit tests."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command remembers is this test's alone, and nothing of the developer's is read."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
