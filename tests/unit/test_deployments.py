"""Where a namespace was deployed last, and what that changes in remedies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_api import Answer, listed, serving, status

from learnflow_infra import cli
from learnflow_infra.cluster import deployments
from learnflow_infra.cluster.deployments import Deployment
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.failures import finding

DEPLOYS = finding("not-deployed", "kafka is not there")
OTHER = finding("round-trip-failed", "another")


@pytest.fixture(autouse=True)
def _on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_the_last_one_is_known_until_it_is_purged() -> None:
    assert deployments.last("learnflow") is None
    deployments.record("learnflow", Deployment("minikube"))
    deployments.record("other", Deployment("prod"))
    assert deployments.last("learnflow") == Deployment("minikube")
    deployments.forget("learnflow")
    assert deployments.last("learnflow") is None
    assert deployments.last("other") == Deployment("prod")


@pytest.mark.parametrize("content", ["", "[]", '{"learnflow": 7}', "\x00"])
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    file = tmp_path / "state/learnflow-infra/deployments.json"
    file.parent.mkdir(parents=True)
    file.write_text(content)
    assert deployments.last("learnflow") is None
    deployments.record("learnflow", Deployment("minikube"))
    assert deployments.last("learnflow") == Deployment("minikube")


def test_where_nothing_can_be_written_nothing_fails(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    deployments.record("learnflow", Deployment("minikube"))
    assert deployments.last("learnflow") is None


def test_only_a_remedy_that_deploys_elsewhere_says_so() -> None:
    deployments.record("learnflow", Deployment("minikube"))
    warned, same = deployments.warned([DEPLOYS, OTHER], "learnflow", "learnflow-local")
    assert "went to the context minikube" in warned.remedy
    assert warned.remedy.endswith(f"Else: {DEPLOYS.remedy}")
    assert same == OTHER
    assert deployments.warned([DEPLOYS], "learnflow", "minikube") == [DEPLOYS]
    assert deployments.warned([DEPLOYS], "elsewhere", "learnflow-local") == [DEPLOYS]


def test_a_verdict_of_another_cluster_than_the_last_does_not_lead_there_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def respond(_: str, target: str) -> Answer:
        return listed() if target.partition("?")[0].endswith("s") else status(404, "NotFound")

    deployments.record("learnflow", Deployment("minikube"))
    with serving(tmp_path, respond):
        assert cli.run(["verify", "kafka", "--context", "somewhere", "--json"]) == Exit.UNHEALTHY
    (told,) = json.loads(capsys.readouterr().out)["findings"]
    assert told["code"] == "not-deployed"
    assert "went to the context minikube" in told["remedy"]


def test_doctor_says_which_cluster_the_last_one_went_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deployments.record("learnflow", Deployment("minikube"))
    with serving(tmp_path, lambda *_: listed()):
        cli.run(["doctor", "--context", "somewhere", "--json"])
    checks = {each["name"]: each for each in json.loads(capsys.readouterr().out)["checks"]}
    assert checks["last up"]["level"] == "warn"
    assert "minikube; now somewhere would be used" in checks["last up"]["said"]


def test_a_cluster_that_is_gone_is_named_before_the_next_one_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.cluster.local.LocalCluster.obstacle", lambda _: None)
    monkeypatch.setattr("learnflow_infra.cluster.local.LocalCluster.state", lambda *_: "absent")
    deployments.record("learnflow", Deployment("minikube"))
    for command in ("verify", "status", "connect"):
        assert cli.run([command, "--json"]) == Exit.NO_CLUSTER
        (told,) = json.loads(capsys.readouterr().out)["findings"]
        assert told["code"] == "cluster-not-running"
        assert "went to the context minikube" in told["remedy"]


def test_kubectl_is_told_the_context_that_is_meant() -> None:
    said = {
        "Run `kubectl get pods`.": "Run `kubectl --context 'my ctx' get pods`.",
        "`echo x | kubectl apply -f -`": "`echo x | kubectl --context 'my ctx' apply -f -`",
        "Run `kubectl -n a label pod x b=c`, and kubectl itself.": (
            "Run `kubectl --context 'my ctx' -n a label pod x b=c`, and kubectl itself."
        ),
        "Run `kubectl --context other get pods`.": "Run `kubectl --context other get pods`.",
        "Install `kubectl`, or a newer kubectl.": "Install `kubectl`, or a newer kubectl.",
    }
    for remedy, told in said.items():
        (found,) = deployments.in_context([finding("usage", "", remedy=remedy)], "my ctx")
        assert found.remedy == told
        assert deployments.says_kubectl([finding("usage", "", remedy=remedy)]) is (told != remedy)
