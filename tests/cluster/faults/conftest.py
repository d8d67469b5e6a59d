"""What all faults share: the stand that they are put into, and the table that they end in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import NAMESPACE, Person
from . import table
from .harness import Fault, Stand, elsewhere
from .injector import Injector

TABLE = Path(__file__).parents[3] / "docs/faults.md"


@pytest.fixture(scope="session")
def injector(person: Person, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Injector]:
    with Injector(tmp_path_factory.mktemp("injector")) as server:
        person.kubectl("create", "-f", "-", stdin=json.dumps(server.configuration()))
        yield server
        person.kubectl("delete", "mutatingwebhookconfiguration", "injector")


@pytest.fixture
def stand(request: pytest.FixtureRequest, person: Person, injector: Injector) -> Iterator[Stand]:
    """Where the fault is met: a new namespace for `up`, one with both services for `verify`."""
    fault: Fault = request.getfixturevalue("fault")
    if not fault.alone:
        request.getfixturevalue("mended")
        with Stand(person, NAMESPACE, injector) as stand:
            yield stand
        return
    with elsewhere(person, injector, f"fault-{request.node.callspec.id}") as stand:
        yield stand


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--table", action="store_true", help="write docs/faults.md of this run")


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.getoption("--table", False) and session.testsfailed == 0:
        TABLE.write_text(table.page())
