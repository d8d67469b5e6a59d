"""A kubelet that comes back: what it says meanwhile ends no proof, and is told where it lasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from fake_api import Answer, listed, serving, status

from learnflow_infra import cli
from learnflow_infra.commands import verify
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.failures import finding
from learnflow_infra.findings.verdict import Verdict

AWAY = finding("kubelet-unavailable", "404 pod does not exist")
OTHER = finding("round-trip-failed", "another")


@pytest.fixture(autouse=True)
def _on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def proving(*verdicts: Verdict) -> tuple[Callable[..., Verdict], list[Verdict]]:
    """A proof that gives these one after the other, and what it has not given yet."""
    left = list(verdicts)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0], left


def verified(tmp_path: Path) -> int:
    with serving(tmp_path, lambda *_: listed()):
        return cli.run(["verify", "postgres", "--context", "somewhere", "--json"])


def test_verify_tries_again_until_the_kubelet_knows_its_pods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = Verdict("postgres", findings=(AWAY,))
    prove, left = proving(away, away, Verdict("postgres"))
    monkeypatch.setattr(verify, "prove", prove)
    assert verified(tmp_path) == Exit.DONE
    assert len(left) == 1


def test_verify_does_so_for_a_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verify, "_KUBELET_SECONDS", 0.5)
    monkeypatch.setattr(verify, "prove", proving(Verdict("postgres", findings=(AWAY,)))[0])
    assert verified(tmp_path) == Exit.UNHEALTHY
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "kubelet-unavailable"


def test_verify_tries_nothing_else_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prove, left = proving(Verdict("postgres", findings=(OTHER,)), Verdict("postgres"))
    monkeypatch.setattr(verify, "prove", prove)
    assert verified(tmp_path) == Exit.UNHEALTHY
    assert len(left) == 1


def test_status_names_the_nodes_that_are_not_ready(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    conditions = [{"type": "Ready", "status": "Unknown"}]
    node = {"metadata": {"name": "away"}, "status": {"conditions": conditions}}

    def respond(_: str, target: str) -> Answer:
        return listed(node) if target.startswith("/api/v1/nodes") else listed()

    with serving(tmp_path, respond):
        assert cli.run(["status", "--context", "somewhere"]) == Exit.DONE
    assert "not Ready: away" in capsys.readouterr().out


def test_status_does_without_the_right_to_list_nodes(tmp_path: Path) -> None:
    refused = status(403, "Forbidden", 'nodes is forbidden: User "x" cannot list')

    def respond(_: str, target: str) -> Answer:
        return refused if target.startswith("/api/v1/nodes") else listed()

    with serving(tmp_path, respond):
        assert cli.run(["status", "--context", "somewhere"]) == Exit.DONE
