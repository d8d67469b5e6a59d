"""What the API server's answers are taken for."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import pytest
from fake_api import Answer, kube, listed, status

import learnflow_infra
from learnflow_infra.findings import failures
from learnflow_infra.findings.causes import CAUSES, Exit
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.errors import ApiError

PAGE = Answer(500, "<html><body>Sorry</body></html>", "text/html")


def plain(code: int, text: str) -> Answer:
    return Answer(code, text, "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    "answer",
    [
        status(404, "NotFound"),
        status(409, "Conflict"),
        status(422, "Invalid"),
        status(500, "InternalError"),
        plain(404, "404 page not found"),
        plain(500, 'container not found ("kafka")'),
        plain(500, "rpc error: code = Unknown desc = container is in CONTAINER_EXITED state"),
    ],
)
def test_a_refusal_is_of_one_request_and_not_of_the_cluster(tmp_path: Path, answer: Answer) -> None:
    with kube(tmp_path, lambda *_: answer) as api, pytest.raises(ApiError) as refused:
        api.list("Pod", "learnflow")
    assert refused.value.exit_code is Exit.UNHEALTHY
    assert not refused.value.of_cluster
    assert [(each.code, each.service) for each in refused.value.of("kafka")] == [
        ("api-error", "kafka")
    ]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (PAGE, "cluster-unreachable"),
        (PAGE._replace(status=404), "cluster-unreachable"),
        (PAGE._replace(status=503), "cluster-unreachable"),
        (PAGE._replace(status=200), "cluster-unreachable"),
        (Answer(200, "[]"), "cluster-unreachable"),
        (Answer(200, '{"kind": "PodList"}'), "cluster-unreachable"),
        (plain(500, "dial tcp 127.0.0.1:6443: connect: connection refused"), "cluster-unreachable"),
        (plain(500, "remote error: tls: bad certificate"), "identity-refused"),
        (plain(500, "x509: certificate signed by unknown authority"), "api-certificate-refused"),
        (status(503, "ServiceUnavailable"), "cluster-unreachable"),
        (status(401, "Unauthorized"), "identity-refused"),
    ],
)
def test_what_every_request_would_meet_is_of_the_cluster(
    tmp_path: Path, answer: Answer, code: str
) -> None:
    with kube(tmp_path, lambda *_: answer) as api, pytest.raises(Failure) as failed:
        api.list("Pod", "learnflow")
    assert failed.value.findings[0].code == code
    assert failed.value.of_cluster


@pytest.mark.parametrize(
    "answer",
    [
        plain(404, "pod does not exist\n"),
        status(500, "", "error dialing backend: dial tcp 10.0.0.2:10250: connection refused"),
        plain(500, "error dialing backend: dial tcp 10.0.0.2:10250: connection refused"),
    ],
)
def test_a_kubelet_that_is_coming_back_is_no_missing_cluster(
    tmp_path: Path, answer: Answer
) -> None:
    with kube(tmp_path, lambda *_: answer) as api, pytest.raises(Failure) as failed:
        api.exec("learnflow", "postgres-0", "postgres", ["true"])
    assert [each.code for each in failed.value.findings] == ["kubelet-unavailable"]
    assert not failed.value.of_cluster
    assert CAUSES["kubelet-unavailable"].heals


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (
            status(
                422,
                "Invalid",
                "pods \"kafka-0\" is forbidden: ValidatingAdmissionPolicy 'tuesday' with binding "
                "'tuesday' denied request: not on a Tuesday",
            ),
            "stream-refused",
        ),
        (status(403, "Forbidden", "pods is forbidden: not on a Tuesday"), "stream-refused"),
        (status(400, "", 'admission webhook "t" denied the request: no'), "stream-refused"),
        (status(500, "InternalError", 'failed calling webhook "t": refused'), "webhook-failing"),
        (
            status(403, "Forbidden", 'pods is forbidden: User "x" cannot create pods/exec'),
            "permission-missing",
        ),
    ],
)
@pytest.mark.parametrize("way", ["exec", "forward"])
def test_who_refuses_a_stream_is_told(tmp_path: Path, answer: Answer, code: str, way: str) -> None:
    with kube(tmp_path, lambda *_: answer) as api, pytest.raises(Failure) as failed:
        if way == "exec":
            api.exec("learnflow", "kafka-0", "kafka", ["true"])
        else:
            api.forward("learnflow", "kafka-0", 9092)
    assert [each.code for each in failed.value.findings] == [code]
    assert not failed.value.of_cluster


def test_permission_and_load_have_words_of_their_own(tmp_path: Path) -> None:
    answers = {
        "permission-missing": status(403, "Forbidden", 'pods is forbidden: User "x" cannot list'),
        "api-slow": status(429, "TooManyRequests"),
    }
    for code, answer in answers.items():
        (folder := tmp_path / code).mkdir()
        with (
            kube(folder, lambda *_, answer=answer: answer) as api,
            pytest.raises(Failure) as failed,
        ):
            api.list("Pod", "learnflow")
        assert failed.value.findings[0].code == code


def test_absent_is_what_the_api_server_says_is_not_found(tmp_path: Path) -> None:
    with kube(tmp_path, lambda *_: status(404, "NotFound")) as api:
        assert api.get("Secret", "learnflow", "x") is None
        assert not api.delete("Secret", "learnflow", "x")
        with pytest.raises(ApiError):
            api.annotate("Pod", "learnflow", "x", "y")


def test_a_404_that_names_no_object_says_nothing_of_one(tmp_path: Path) -> None:
    with kube(tmp_path, lambda *_: PAGE._replace(status=404)) as api, pytest.raises(Failure):
        api.get("Secret", "learnflow", "x")


def test_a_list_may_hold_anything(tmp_path: Path) -> None:
    item = {"metadata": {"name": "x"}}
    with kube(tmp_path, lambda *_: listed(item, None, "odd")) as api:
        assert api.list("Pod", "learnflow") == [item]
    (folder := tmp_path / "null").mkdir()
    with kube(folder, lambda *_: Answer(200, '{"kind": "List", "items": null}')) as api:
        assert api.list("Pod", "learnflow") == []


def events(*found: tuple[str, object]) -> Answer:
    lines = [json.dumps({"type": kind, "object": item}) for kind, item in found]
    return Answer(200, "\n".join(lines))


def test_a_watch_that_fell_behind_ends_and_one_that_is_refused_says_so(tmp_path: Path) -> None:
    added = ("ADDED", {"metadata": {"name": "x"}})
    gone = ("ERROR", {"kind": "Status", "code": 410, "reason": "Expired"})
    refused = ("ERROR", {"kind": "Status", "code": 500, "reason": "InternalError"})
    with kube(tmp_path, lambda *_: events(added, gone)) as api:
        seen = list(api.watch("Pod", "learnflow", "", Deadline(10)))
        assert [each["type"] for each in seen] == ["ADDED"]
    (folder := tmp_path / "refused").mkdir()
    with kube(folder, lambda *_: events(added, refused)) as api, pytest.raises(ApiError):
        list(api.watch("Pod", "learnflow", "", Deadline(10)))


def test_the_tree_of_errors_names_every_one() -> None:
    drawn = set(re.findall(r"── (\w+)", failures.__doc__ or ""))
    defined = {
        node.name
        for file in Path(learnflow_infra.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ClassDef)
        and any(
            isinstance(base, ast.Name) and base.id in drawn | {"Exception"} for base in node.bases
        )
        and not node.name.startswith("_")
    }
    assert drawn == defined
