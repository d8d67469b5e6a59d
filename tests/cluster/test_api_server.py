"""An API server that answers slowly, with an error page, or not at all, at any step."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from .between import (
    Asked,
    Between,
    Fault,
    dribble,
    hang,
    reset,
    says,
    slow,
    status,
    truncated,
)
from .conftest import CONTEXT, Answer, Person

SILENT = ("hang", "dribble")  # what a command can only wait for
SECONDS, SHORT = 20, 4  # given to a command that meets another fault, and such a one
PAGE = "<html><body>Sorry \033[31m</body></html>" * 50
# Each with the codes that it may be called.
FAULTS: dict[str, tuple[Fault, set[str]]] = {
    "reset": (reset, {"cluster-unreachable"}),
    "error-page": (says(500, PAGE), {"cluster-unreachable"}),
    "unavailable-page": (says(503, PAGE), {"cluster-unreachable"}),
    "page": (says(200, PAGE), {"cluster-unreachable"}),
    "other-json": (says(200, "[]", "application/json"), {"cluster-unreachable"}),
    "truncated": (truncated, {"cluster-unreachable"}),
    "overloaded": (status(429, "TooManyRequests", "try again later"), {"api-slow"}),
    "shutting-down": (
        status(503, "ServiceUnavailable", "shutting down"),
        {"cluster-unreachable"},
    ),
    "identity": (status(401, "Unauthorized", "Unauthorized"), {"identity-refused"}),
    "hang": (hang, {"api-slow", "deadline-passed"}),
    "dribble": (dribble, {"api-slow", "deadline-passed"}),
}


class Through:
    """The command with the server between it and the API server."""

    def __init__(self, person: Person) -> None:
        self.person = person
        self.asked: list[Asked] = []
        self.used: list[Asked] = []

    def run(self, *arguments: str, fault: Fault | None = None, at: Asked | None = None) -> Answer:
        """With a fault at all requests of one kind, which must be met."""

        def faults(asked: Asked | None) -> Fault | None:
            return fault if asked == at else None

        folder = self.person.home
        with Between(folder, faults if fault else lambda _: None) as between:
            self.person.kubectl(
                *("config", "set-cluster", "between", f"--server={between.url}"),
                f"--certificate-authority={between.authority}",
            )
            answer = self.person.run_in("between", *arguments, "--json")
        self.asked = list(dict.fromkeys(between.asked))
        self.used = list(dict.fromkeys(between.used))
        assert between.hit or fault is None, f"nothing asked {at}"
        return answer


@pytest.fixture
def through(deployed: Person) -> Iterator[Through]:
    deployed.kubectl("config", "set-context", "between", "--cluster=between", f"--user={CONTEXT}")
    yield Through(deployed)
    for kind, name in (("context", "between"), ("cluster", "between")):
        deployed.kubectl("config", f"delete-{kind}", name)


def meet(through: Through, name: str, asked: Asked, *command: str) -> None:
    """The fault is told by one of its codes, in time and in few words."""
    fault, codes = FAULTS[name]
    what = f"{name} at {asked}"
    began = time.monotonic()
    answer = through.run(*command, "--timeout", str(SECONDS), fault=fault, at=asked)
    assert time.monotonic() - began < SECONDS + 5, (
        what
    )  # more than processes cost on a busy machine
    assert answer.exit_code in (3, 5), what
    assert answer.codes[0] in codes, f"{what}: {answer.stdout}"
    assert len(answer.stdout.encode()) < 2500, what
    assert "\\u001b" not in answer.stdout, what


def pairs(steps: Sequence[Asked]) -> Iterator[tuple[str, Asked]]:
    """Every fault with a third of the steps, and every step with a third of the faults."""
    for n, name in enumerate(FAULTS):
        for m, asked in enumerate(steps):
            streams = "/" in asked.resource  # it has no answer that could be cut
            if (n + m) % 3 == 0 and not (streams and name in ("truncated", "dribble")):
                yield name, asked


def test_a_fault_at_each_step_of_verify(through: Through) -> None:
    assert through.run("verify").exit_code == 0
    for name, asked in pairs(through.asked):
        meet(through, name, asked, "verify")


def test_a_fault_at_each_step_of_up_and_at_last_none(through: Through, elsewhere: str) -> None:
    """Each run comes as far as its fault, and the next one goes on from there."""
    answer = through.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    # A Lease that is not renewed or not given back ends by itself.
    silent = {(verb, "leases") for verb in ("patch", "delete")}
    steps = [
        each
        for each in through.asked
        if "/" not in each.resource and (each.verb, each.resource) not in silent
    ]
    assert through.person.run("down", "--purge", "--yes").exit_code == 0
    names = [each for each in FAULTS if each not in SILENT]
    for n, asked in enumerate(steps):
        meet(through, names[n % len(names)], asked, "up", "postgres")
    answer = through.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout


def test_slow_answers_are_waited_for(through: Through) -> None:
    assert through.run("verify").exit_code == 0
    for asked in through.asked[:2]:
        assert through.run("verify", fault=slow, at=asked).exit_code == 0
