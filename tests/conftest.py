"""Shared by all tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from attempts import Attempts
from learnflow_infra.services import registry

registry.own()  # whose causes stand in the table from then on

# On a busy machine a draw can take seconds; slowness is no finding of a property.
settings.register_profile(
    "calm", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=100
)
settings.load_profile("calm")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--attempts", action="store_true", help="write docs/attempts.md of this run")


def pytest_configure(config: pytest.Config) -> None:
    words = "intruder(words, by): an attempt that must be refused, and by what"
    config.addinivalue_line("markers", words)
    if config.getoption("--attempts"):
        config.pluginmanager.register(Attempts())


@pytest.fixture(autouse=True)
def own_state(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command remembers is a unit test's alone, and nothing of the developer's is read."""
    if "unit" in request.path.parts:
        folder = request.getfixturevalue("tmp_path") / "state"
        monkeypatch.setenv("XDG_STATE_HOME", str(folder))


@pytest.fixture
def not_under_nohup() -> Iterator[None]:
    """What a test starts hears of SIGHUP, even where the tests themselves were told not to."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
