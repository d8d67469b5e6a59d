"""A step's own limit and the command's: what is told of each, and what is tried again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from fake_api import kube

from learnflow_infra.commands import Request, up
from learnflow_infra.diagnosis.state import State
from learnflow_infra.findings.causes import CAUSES, Exit
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import run
from learnflow_infra.services import Secrets, registry
from learnflow_infra.settings import parse


def finding_of(deadline: Deadline, argv: Sequence[str] = ("sleep", "60")) -> Finding:
    with pytest.raises(Failure) as over:
        run(argv, deadline=deadline)
    return over.value.findings[0]


@pytest.mark.parametrize("step", [False, True])
def test_the_command_s_own_deadline_is_moved_by_an_option(step: bool) -> None:
    deadline = Deadline(0.5)
    found = finding_of(deadline.within(60, "the login") if step else deadline)
    assert (found.code, CAUSES[found.code].exit) == ("deadline-passed", Exit.DEADLINE)
    assert "--timeout" in found.remedy
    assert "sleep 60" in found.message


def test_a_step_s_limit_names_what_did_not_answer_and_heals() -> None:
    found = finding_of(Deadline(60).within(0.5))
    assert (found.code, CAUSES[found.code].exit) == ("step-slow", Exit.UNHEALTHY)
    assert found.message == "sleep 60 did not end within 0.5 s"
    assert "--timeout" not in found.remedy
    assert CAUSES[found.code].heals


def test_a_step_within_a_step_is_told_of_the_one_that_is_over() -> None:
    step = Deadline(60).within(0.5, "the login", code="service-slow")
    found = finding_of(step.within(30, "the question"))
    assert found.code == "service-slow"
    with pytest.raises(Failure, match=r"service-slow: the login did not end within 0.5 s"):
        step.remaining()


def test_an_api_server_that_hangs_is_told_by_whose_time_is_over(tmp_path: Path) -> None:
    with (
        kube(tmp_path, lambda *_: None, seconds=0.2) as api,
        pytest.raises(Failure, match=r"deadline-passed: .* waiting for the API server's answer to"),
    ):
        api.list("Pod", "learnflow")


Try = Callable[[Deadline], None]


def deployed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seconds: float, *tries: Try
) -> Verdict:
    """The verdict of `up` on a service whose proof meets these, one after the other."""
    left = list(tries)

    def prove(*arguments: object) -> Verdict:
        left.pop(0)(deadline)
        return Verdict("postgres", 1, 1)

    def ready(*_: object, changed: bool) -> State:
        deadline.remaining()
        return State(1, 1, True)

    monkeypatch.setattr(up, "wait", ready)
    monkeypatch.setattr(up, "reconcile", lambda *_: [])
    monkeypatch.setattr(up, "prove", prove)
    deadline = Deadline(seconds)
    request = Request(parse({}, registry.sections), (), deadline, lambda _: None)
    service = registry.find("postgres")
    with kube(tmp_path, lambda *_: None) as api:
        verdict = up._deploy(request, api, service, Secrets({}, {}), changed=True)
    assert not left
    return verdict


def slow(deadline: Deadline) -> None:
    run(["sleep", "60"], deadline=deadline.within(0.5))


def test_up_tries_a_step_again_that_took_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployed(monkeypatch, tmp_path, 30, slow, lambda _: None).ok


def test_up_tells_what_failed_rather_than_that_no_time_is_left_to_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_: Deadline) -> None:
        raise Failure(finding("dns-unavailable", "said so"))

    def last(deadline: Deadline) -> None:
        run(["sleep", "60"], deadline=deadline)

    found = deployed(monkeypatch, tmp_path, 1, refused, last).findings
    assert [(each.code, each.service) for each in found] == [("dns-unavailable", "postgres")]
