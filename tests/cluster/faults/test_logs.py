"""What a log costs does not depend on how long it is."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import pytest

from ..conftest import Person
from .harness import Stand
from .injector import Injector


@pytest.fixture
def stand(person: Person, injector: Injector) -> Iterator[Stand]:
    person.kubectl("create", "namespace", "logs")
    with Stand(person, "logs", injector) as stand:
        stand.settings()
        yield stand
    person.settings("")
    person.kubectl("delete", "namespace", "logs", "--wait=false")


def cost(stand: Stand, size: int) -> float:
    """The seconds that `verify` takes with a log of so many bytes, as a median."""
    script = f"yes $(printf '%099d' 0) | head -c {size}; echo FATAL: full; exit 1"
    stand.alter_container(command=["bash", "-c", script])
    stand.kubectl("delete", "pod", "postgres-0", "--ignore-not-found", "--wait")
    stand.person.run("up", "postgres")
    stand.await_sign("CrashLoopBackOff")
    took = []
    for _ in range(5):
        started = time.monotonic()
        answer = stand.person.run("verify", "postgres")
        took.append(time.monotonic() - started)
        assert "FATAL: full" in answer.stdout
    return statistics.median(took)


@pytest.mark.thorough
def test_a_log_of_100_mb_costs_no_more_than_one_of_1_kb(stand: Stand) -> None:
    assert cost(stand, 100_000_000) < 1.5 * cost(stand, 1000) + 0.2
