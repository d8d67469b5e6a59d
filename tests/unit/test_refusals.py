"""A request that the API server refuses costs what it was for, and nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_api import Answer, Respond, kube, listed, serving, status

from learnflow_infra import cli
from learnflow_infra.commands import Request, up
from learnflow_infra.diagnosis import support_bundle
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services import Secrets, registry
from learnflow_infra.settings import ClusterSettings, Settings, parse

VERSION = Answer(200, json.dumps({"gitVersion": "v1.34.4"}))
REVIEW = Answer(200, json.dumps({"kind": "Review", "status": {"allowed": True}}))


def answers(method: str, target: str) -> Answer:
    """A cluster in which nothing is."""
    if target == "/version":
        return VERSION
    if "subjectaccessreviews" in target:
        return REVIEW
    plural = target.partition("?")[0].split("/")[-1]
    return listed() if plural.endswith("s") else status(404, "NotFound")


def refusing(part: str, answer: Answer) -> Respond:
    return lambda method, target: answer if part in target else answers(method, target)


@pytest.fixture(autouse=True)
def _on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


@pytest.mark.parametrize(
    "refused", [status(404, "Gone"), status(409, "Conflict"), status(422, "Invalid")]
)
def test_the_other_service_keeps_its_verdict(
    tmp_path: Path, refused: Answer, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(
        tmp_path,
        refusing("statefulsets?labelSelector=app.kubernetes.io%2Fname%3Dpostgres", refused),
    ):
        assert cli.run(["verify", "--context", "somewhere", "--json"]) == Exit.UNHEALTHY
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {each["service"]: each["code"] for each in found} == {
        "kafka": "not-deployed",
        "postgres": "api-error",
    }


def test_up_tells_a_refusal_of_the_service_that_met_it(tmp_path: Path) -> None:
    request = Request(parse({}, registry.sections), (), Deadline(30), lambda _: None)
    service = registry.find("postgres")
    with kube(tmp_path, refusing("statefulsets/postgres", status(409, "Conflict"))) as api:
        verdict = up._deploy(request, api, service, Secrets({}, {}), changed=False)
    assert [(each.code, each.service) for each in verdict.findings] == [("api-error", "postgres")]


def roomy(method: str, target: str) -> Answer:
    """A cluster in which nothing is, that has a place for all."""
    room = {"cpu": "8", "memory": "16Gi"}
    node = {"metadata": {"name": "node"}, "status": {"allocatable": room}}
    default = {"storageclass.kubernetes.io/is-default-class": "true"}
    storage = {"metadata": {"name": "standard", "annotations": default}}
    if method != "GET":
        return Answer(200, '{"kind": "Any"}')
    lists = {"/nodes": listed(node), "/storageclasses": listed(storage)}
    found = [answer for end, answer in lists.items() if target.endswith(end)]
    return found[0] if found else answers(method, target)


def test_up_says_that_a_cluster_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = Answer(200, json.dumps({"gitVersion": "v1.24.17"}))
    monkeypatch.setattr(up, "_deploy", lambda _, __, service, *___: Verdict(service.name, 1, 1))
    with serving(tmp_path, lambda *asked: old if asked[1] == "/version" else roomy(*asked)):
        assert cli.run(["up", "--context", "somewhere", "--json"]) == Exit.DONE
    (note,) = json.loads(capsys.readouterr().out)["notes"]
    assert note == "Kubernetes v1.24.17 is older than 1.25, the first that is supported"


def test_up_goes_on_with_the_service_whose_objects_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def respond(method: str, target: str) -> Answer:
        if method != "GET" and "/statefulsets/kafka" in target:
            return status(422, "Invalid")
        return roomy(method, target)

    monkeypatch.setattr(up, "_deploy", lambda _, __, service, *___: Verdict(service.name, 1, 1))
    with serving(tmp_path, respond):
        assert cli.run(["up", "--context", "somewhere", "--json"]) == Exit.UNHEALTHY
    said = json.loads(capsys.readouterr().out)
    assert {each["name"]: each["ok"] for each in said["services"]} == {
        "kafka": False,
        "postgres": True,
    }
    assert [(each["code"], each["service"]) for each in said["findings"]] == [
        ("apply-refused", "kafka")
    ]


def test_doctor_warns_of_what_it_could_not_ask(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path, refusing("storageclasses", status(422, "Invalid"))):
        cli.run(["doctor", "--context", "somewhere", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    room = next(each for each in checks if each["name"] == "room")
    assert room["level"] == "warn"
    assert "422 Invalid" in room["said"]


def test_the_support_bundle_goes_on_with_the_rest(tmp_path: Path) -> None:
    event = {
        "type": "Warning",
        "reason": "Unhealthy",
        "message": "said so",
        "involvedObject": {"kind": "Pod", "name": "kafka-0"},
    }
    settings = Settings(cluster=ClusterSettings(context="somewhere"))

    def respond(method: str, target: str) -> Answer:
        if "/events" in target:
            return listed(event)
        refused = status(404, "Gone")
        return refused if "/deployments" in target else answers(method, target)

    with serving(tmp_path, respond):
        text = support_bundle.collect(["verify"], settings, ())
    assert "== Deployment\nnot read" in text
    assert "Pod/kafka-0: said so" in text
