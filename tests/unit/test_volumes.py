"""Volumes that outlive their claims."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_api import Answer, kube, listed, serving, status

from learnflow_infra import cli
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.pipeline import volumes
from learnflow_infra.services import Access, Secrets
from learnflow_infra.services.postgres.data_age import require_new
from learnflow_infra.settings import Settings

HOST = {"hostPath": {"path": "/tmp/hostpath-provisioner/learnflow/data-postgres-0"}}
CSI = {"csi": {"driver": "disk.example.com", "volumeHandle": "vol-1"}}


def volume(
    name: str,
    claim: str = "data-postgres-0",
    *,
    namespace: str = "learnflow",
    policy: str = "Retain",
    uid: str = "gone",
    storage: dict[str, Any] = HOST,
) -> dict[str, Any]:
    reference = {"namespace": namespace, "name": claim, "uid": uid}
    spec = {"claimRef": reference, "persistentVolumeReclaimPolicy": policy, **storage}
    return {"metadata": {"name": name}, "spec": spec, "status": {"phase": "Released"}}


def left(tmp_path: Path, *found: dict[str, Any], claims: tuple[dict[str, Any], ...] = ()) -> Any:
    def respond(_: str, target: str) -> Answer:
        return listed(*found) if target.startswith("/api/v1/persistentvol") else listed(*claims)

    with kube(tmp_path, respond) as api:
        names = ["kafka", "postgres"]
        return [v["metadata"]["name"] for v in volumes.left(api, "learnflow", names, Deadline(5))]


def test_a_volume_is_left_if_its_claim_is_gone_and_was_of_the_scope(tmp_path: Path) -> None:
    claim = {"metadata": {"name": "data-postgres-0", "uid": "live"}}
    found = left(
        tmp_path,
        volume("ours"),
        volume("a-broker-s", "data-kafka-2"),
        volume("bound", uid="live"),
        volume("elsewhere", namespace="other"),
        volume("somebody-s", "data-postgres-0-copy"),
        claims=(claim,),
    )
    assert found == ["ours", "a-broker-s"]


def test_a_provisioner_has_time_to_remove_what_it_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(volumes, "_FOLDER_SECONDS", 0.3)
    monkeypatch.setattr(volumes, "_DISK_SECONDS", 1.5)
    answers = [listed(volume("going", policy="Delete")), listed()]

    def respond(_: str, target: str) -> Answer:
        if not target.startswith("/api/v1/persistentvolumes"):
            return listed()
        return answers.pop(0) if len(answers) > 1 else answers[0]

    (other := tmp_path / "other").mkdir()
    with kube(other, respond) as api:
        assert volumes.left(api, "learnflow", ["postgres"], Deadline(5)) == []
    began = time.monotonic()
    assert left(tmp_path, volume("ignored", policy="Delete")) == ["ignored"]
    assert time.monotonic() - began < 1.5
    (third := tmp_path / "third").mkdir()
    assert left(third, volume("stuck", policy="Delete", storage=CSI)) == ["stuck"]
    assert time.monotonic() - began > 1.5


def test_what_is_left_is_named_with_what_removes_it() -> None:
    told = volumes.finding_of("mini kube", [volume("pvc-1"), volume("pvc-2", storage=CSI)])
    assert told.code == "volume-left"
    assert "pvc-1 (Released, folder /tmp/hostpath-provisioner/learnflow/" in told.message
    assert "pvc-2 (Released, volume vol-1 of disk.example.com)" in told.message
    assert "Remove the folder /tmp/hostpath-provisioner/learnflow/data-postgres-0" in told.remedy
    assert "`kubectl --context 'mini kube' delete persistentvolume pvc-1 pvc-2`" in told.remedy


CLAIMED = 1_800_000_000  # seconds since 1970


def at(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def judged(
    tmp_path: Path,
    printed: str,
    *,
    made: int = CLAIMED + 1,
    source: dict[str, Any] | None = None,
    refused: Answer | None = None,
) -> str:
    """What data is judged as whose claim was made at CLAIMED, and its volume at `made`."""
    claim = {
        "metadata": {"name": "data-postgres-0", "creationTimestamp": at(CLAIMED)},
        "spec": {"volumeName": "pvc-1", **({"dataSource": source} if source else {})},
    }
    found = volume("pvc-1")
    found["metadata"]["creationTimestamp"] = at(made)

    def respond(_: str, target: str) -> Answer:
        if target.startswith("/api/v1/persistentvolumes"):
            return refused or listed(found)
        return listed(claim)

    with kube(tmp_path, respond) as api:
        access = Access(api, Settings(), Secrets({}, {}), Deadline(5))
        try:
            require_new(access, printed)
        except Failure as failure:
            return failure.findings[0].code
    return ""


OLD = f"\ndata folder born {CLAIMED - 60}\n"


def test_data_older_than_its_claim_is_not_new(tmp_path: Path) -> None:
    assert judged(tmp_path, OLD) == "volume-not-new"


@pytest.mark.parametrize(
    "printed", [f"data folder born {CLAIMED + 3}\n", "data folder born 0\n", ""]
)
def test_data_that_came_later_or_whose_age_nobody_says_is_new(tmp_path: Path, printed: str) -> None:
    assert judged(tmp_path, printed) == ""


def test_a_volume_of_a_snapshot_may_hold_older_data(tmp_path: Path) -> None:
    source = {"kind": "VolumeSnapshot", "name": "before"}
    assert judged(tmp_path, OLD, source=source) == ""


def test_so_may_one_that_was_there_before_its_claim(tmp_path: Path) -> None:
    assert judged(tmp_path, OLD, made=CLAIMED - 3600) == ""


def test_without_the_right_to_list_volumes_nothing_is_claimed(tmp_path: Path) -> None:
    refused = status(403, "Forbidden", 'persistentvolumes is forbidden: User "x" cannot list')
    assert judged(tmp_path, OLD, refused=refused) == ""


@pytest.fixture
def _on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def purged(tmp_path: Path, answer: Answer) -> int:
    def respond(_: str, target: str) -> Answer:
        if target.startswith("/api/v1/persistentvolumes"):
            return answer
        return listed() if target.partition("?")[0].endswith("s") else status(404, "NotFound")

    with serving(tmp_path, respond):
        return cli.run(["down", "--purge", "--yes", "--json", "--context", "somewhere"])


@pytest.mark.usefixtures("_on_path")
def test_purge_ends_well_only_if_the_data_is_gone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert purged(tmp_path, listed(volume("pvc-1"))) == Exit.UNHEALTHY
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "volume-left"


@pytest.mark.usefixtures("_on_path")
def test_who_may_not_list_volumes_is_told_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refused = status(403, "Forbidden", 'persistentvolumes is forbidden: User "x" cannot list')
    assert purged(tmp_path, refused) == Exit.DONE
    assert "not known" in json.loads(capsys.readouterr().out)["notes"][-1]


@pytest.mark.usefixtures("_on_path")
def test_a_service_that_the_settings_leave_out_stays_with_what_it_needs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def of(name: str, owner: str) -> dict[str, object]:
        labels = {"app.kubernetes.io/name": owner, "app.kubernetes.io/part-of": "phase-2"}
        return {"metadata": {"name": name, "namespace": "learnflow", "labels": labels}}

    there = {
        "kafka-credentials": of("kafka-credentials", "kafka"),
        "postgres-credentials": of("postgres-credentials", "postgres"),
        "learnflow-authority": of("learnflow-authority", "learnflow"),
    }

    def respond(method: str, target: str) -> Answer:
        where = target.partition("?")[0]
        if method == "DELETE":
            there.pop(where.rpartition("/")[2])
            return Answer(200, '{"kind": "Status"}')
        return listed(*there.values()) if where.endswith("/secrets") else listed()

    file = tmp_path / "infra.toml"
    file.write_text('services = ["postgres"]\n')
    with serving(tmp_path, respond):
        command = ("down", "--purge", "--yes", "--json", "--context", "somewhere")
        assert cli.run([*command, "--settings", str(file)]) == Exit.DONE
    assert there.keys() == {"kafka-credentials", "learnflow-authority"}
    said = json.loads(capsys.readouterr().out)
    assert said["removed"] == ["secret/postgres-credentials"]
    assert "kafka" in said["notes"][0]
