"""What mends: a remedy that is a command can be run as it stands, and `up` tries anew at once."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import stat
import subprocess
from typing import Any

import pytest

from learnflow_infra.cluster.local import layout
from learnflow_infra.kubernetes import manifests

from ..conftest import ADMINISTRATOR, NAMESPACE, Person
from ..machine import eventually
from . import node
from .services import policy
from .volumes import claim, tiny

RETRIED = "learnflow-app/retried"


def item(person: Person, kind: str, namespace: str) -> dict[str, Any]:
    """The only one of its kind, but for the client's."""
    shown = json.loads(person.kubectl("get", kind, "-n", namespace, "-o", "json"))
    (found,) = (each for each in shown["items"] if "-client" not in each["metadata"]["name"])
    return dict(found)


def carried_out(person: Person, remedy: str) -> None:
    """The first command of a remedy, as the namespace's administrator types it."""
    path = f"{person.kubectl_folder()}:{person.environment['PATH']}"
    administrator = f'kubectl() {{ command kubectl --context {ADMINISTRATOR} "$@"; }}'
    command = f"{administrator}; {remedy.split('`')[1]}"
    subprocess.run(["bash", "-c", command], env=person.environment | {"PATH": path}, check=True)


def test_lost_credentials_are_made_anew_for_the_same_data(mended: Person) -> None:
    before = mended.secret("kafka-credentials")
    lost = ("kafka-credentials", "postgres-credentials", "kafka-connection")
    mended.kubectl("delete", "secret", *lost, "-n", NAMESPACE)
    answer = mended.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert {"pod/kafka-0", "secret/kafka-credentials"} <= set(answer.json["changed"])
    after = mended.secret("kafka-credentials")
    assert after["cluster-id"] == before["cluster-id"]
    assert after["password.node"] != before["password.node"]
    assert mended.run("verify").exit_code == 0
    assert mended.run("up", "--json").json["changed"] == []


def test_the_remedies_of_what_was_changed_by_hand_mend_it(mended: Person) -> None:
    for key, value, command, code in (
        ("password.node", "of-somebody", "up", "kafka-node-password"),
        ("cluster-id", "AAAAAAAAAAAAAAAAAAAAAA", "verify", "kafka-cluster-id"),
    ):
        change = json.dumps({"stringData": {key: value}})
        mended.kubectl("patch", "secret", "kafka-credentials", "-n", NAMESPACE, "-p", change)
        answer = mended.run(command, "kafka", "--json")
        assert answer.exit_code == 1
        assert answer.codes == [code]
        kubectl, *arguments = shlex.split(answer.json["findings"][0]["remedy"].split("`")[1])
        assert kubectl == "kubectl"
        mended.kubectl(*arguments)
        answer = mended.run("up", "kafka")
        assert answer.exit_code == 0, answer.stdout


def test_what_backs_off_is_tried_at_once_by_who_mended_it(person: Person, elsewhere: str) -> None:
    def pod() -> dict[str, Any]:
        return item(person, "pod", elsewhere)

    assert person.run("up", "postgres").exit_code == 0
    volume = item(person, "pvc", elsewhere)["spec"]["volumeName"]
    version = layout.VOLUMES / volume / "pgdata/PG_VERSION"
    before = version.read_text()
    version.write_text("13\n")
    person.kubectl("delete", "pod", "postgres-0", "-n", elsewhere)
    eventually(lambda: "CrashLoopBackOff" in json.dumps(pod()["status"]), 60)
    broken = pod()["metadata"]["uid"]
    version.write_text(before)
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["changed"] == ["pod/postgres-0"]
    assert pod()["metadata"]["uid"] != broken


@pytest.mark.thorough
def test_a_quota_that_was_raised_is_met_at_once(person: Person, elsewhere: str) -> None:
    def tries() -> int:
        shown = json.loads(person.kubectl("get", "events", "-n", elsewhere, "-o", "json"))
        refused = (each for each in shown["items"] if each["reason"] == "FailedCreate")
        return sum(each["count"] for each in refused)

    quota = ("quota", "small", "-n", elsewhere)
    assert person.run("up", "postgres").exit_code == 0
    person.kubectl("create", *quota, "--hard=pods=0")
    assert person.run("up", "postgres").exit_code == 0  # what is there stays
    person.kubectl("delete", "pod", "postgres-0", "-n", elsewhere)
    assert person.run("up", "postgres", "--json").codes == ["quota-exceeded"]
    # By itself the controller tries again after 5 ms, and then after twice as long each time.
    eventually(lambda: tries() > 12, 90)
    person.kubectl("delete", *quota)
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert RETRIED in item(person, "statefulset", elsewhere)["metadata"]["annotations"]


def test_a_quota_of_what_no_pod_asks_for_is_met_by_the_remedy(
    person: Person, elsewhere: str
) -> None:
    hard = "--hard=limits.cpu=4,requests.cpu=4,limits.ephemeral-storage=4Gi"
    person.kubectl("create", "quota", "limits", "-n", elsewhere, hard)
    answer = person.run("up", "postgres", "--json")
    assert (answer.exit_code, answer.codes) == (4, ["quota-unspecified"])
    carried_out(person, answer.json["findings"][0]["remedy"])
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout


def test_clients_that_others_policies_keep_in_are_let_out(person: Person, elsewhere: str) -> None:
    deny = policy("deny-all", {}, ["Ingress", "Egress"])
    person.kubectl("create", "-n", elsewhere, "-f", "-", stdin=json.dumps(deny))
    answer = person.run("up", "--json")
    assert (answer.exit_code, set(answer.codes)) == (1, {"policy-of-others"})
    carried_out(person, answer.json["findings"][0]["remedy"])
    answer = person.run("up")
    assert answer.exit_code == 0, answer.stdout


def test_up_mends_what_keeps_clients_out(mended: Person) -> None:
    change = json.dumps([{"op": "remove", "path": "/spec/ingress/0"}])
    for service in ("kafka", "postgres"):
        where = ("networkpolicy", service, "-n", NAMESPACE)
        mended.kubectl("patch", *where, "--type=json", "-p", change)
    mended.kubectl("delete", "statefulset", "postgres-client", "-n", NAMESPACE)
    assert set(mended.run("verify", "--json").codes) == {"policy-differs", "client-missing"}
    answer = mended.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    written = {"networkpolicy/kafka", "networkpolicy/postgres", "statefulset/postgres-client"}
    assert written <= set(answer.json["changed"])


def test_a_volume_that_could_not_be_written_is_used_once_it_can(
    person: Person, elsewhere: str
) -> None:
    assert person.run("up", "postgres").exit_code == 0
    folder = layout.VOLUMES / item(person, "pvc", elsewhere)["spec"]["volumeName"]
    mode = folder.stat().st_mode
    folder.chmod(0o755)
    person.kubectl("delete", "pod", "postgres-0", "-n", elsewhere)
    answer = person.run("up", "postgres", "--json")
    assert (answer.exit_code, answer.codes) == (1, ["volume-unwritable"])
    assert stat.S_IMODE(mode) == 0o777
    os.chown(folder, 999, 999)  # as the remedy says
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout


def test_a_full_volume_takes_writes_again_once_a_table_is_dropped(
    person: Person, elsewhere: str
) -> None:
    def psql(statement: str) -> str:
        pod = ("exec", "-n", elsewhere, "postgres-0", "--", "psql", "-U", "postgres")
        return person.kubectl(*pod, "-d", "learnflow", "-c", statement)

    ours = claim()
    ours["metadata"]["labels"] = manifests.labels("postgres") | {manifests.DATA_LABEL: "true"}
    person.kubectl("create", "-n", elsewhere, "-f", "-", stdin=json.dumps(ours))
    eventually(lambda: item(person, "pvc", elsewhere)["status"].get("phase") == "Bound")
    folder = layout.VOLUMES / item(person, "pvc", elsewhere)["spec"]["volumeName"]
    with tiny(folder, "160m"):
        assert person.run("up", "postgres").exit_code == 0
        psql("create unlogged table big (filling text)")  # the log would be full first
        for rows in (100_000, 1000, 100):
            more = f"insert into big select md5(random()::text) from generate_series(1, {rows})"
            with pytest.raises(AssertionError, match="No space left"):
                while True:
                    psql(more)
        answer = person.run("verify", "postgres", "--json")
        assert (answer.exit_code, answer.codes) == (1, ["postgres-disk-full"])
        assert answer.json["findings"][0]["remedy"].startswith("Drop a table")
        psql("drop table big")
        answer = person.run("up", "postgres")
        assert answer.exit_code == 0, answer.stdout


def test_a_pod_that_the_scheduler_forgot_is_shown_to_it(person: Person, elsewhere: str) -> None:
    def is_unschedulable() -> bool:
        conditions = person.kubectl(
            *("get", "pods", "-n", elsewhere, "-o", "jsonpath={.items[*].status.conditions}")
        )
        return "Unschedulable" in conditions

    def claim() -> dict[str, Any]:
        return item(person, "pvc", elsewhere)

    with contextlib.ExitStack() as held:
        with node.stopped("storage"):
            process = person.start("up", "postgres", "--json")
            eventually(is_unschedulable)
            held.enter_context(node.stopped("kube-scheduler"))
        eventually(lambda: claim()["status"]["phase"] == "Bound")
        forgotten = item(person, "pod", elsewhere)["metadata"]["uid"]
        assert person.run("verify", "postgres", "--json").codes == ["scheduler-stalled"]
        eventually(lambda: item(person, "pod", elsewhere)["metadata"]["uid"] != forgotten)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said


def test_up_scales_a_service_back_and_says_what_may_have_been_written(
    person: Person, elsewhere: str
) -> None:
    assert person.run("up", "postgres").exit_code == 0
    scale = ("scale", "statefulset/postgres", "-n", elsewhere)
    person.kubectl(*scale, "--replicas=2")
    person.kubectl(*("wait", "pod/postgres-1", "-n", elsewhere), "--for=create", "--timeout=60s")
    ready = ("--for=condition=Ready", "--timeout=60s")
    person.kubectl("wait", "pod/postgres-1", "-n", elsewhere, *ready)
    assert person.run("verify", "postgres", "--json").codes == ["too-many-pods"]
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    (note,) = answer.json["notes"]
    assert note.endswith("is kept in data-postgres-1")
    person.kubectl(*("wait", "pod/postgres-1", "-n", elsewhere), "--for=delete", "--timeout=60s")
    assert item(person, "pod", elsewhere)["metadata"]["name"] == "postgres-0"
    claims = person.kubectl("get", "pvc", "-n", elsewhere, "-o", "name").split()
    assert len(claims) == 2

    person.kubectl(*scale, "--replicas=0")
    assert person.run("verify", "postgres", "--json").codes == ["scaled-down"]
    assert "scaled-down" in person.run("doctor", "--json").codes
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["notes"] == []


def test_a_claim_that_is_being_deleted_goes_with_its_pod(person: Person, elsewhere: str) -> None:
    assert person.run("up", "postgres").exit_code == 0
    before = item(person, "pvc", elsewhere)["metadata"]["uid"]
    person.kubectl("delete", "pvc", "data-postgres-0", "-n", elsewhere, "--wait=false")
    for command in ("verify", "up", "diagnose"):
        arguments = ("postgres",) if command != "diagnose" else ()
        codes = person.run(command, *arguments, "--json").codes
        assert codes[-1] == "volume-deletion-pending", command
    assert person.run("verify", "postgres", "--json").codes == ["volume-deletion-pending"]
    person.kubectl("delete", "pod", "postgres-0", "-n", elsewhere)
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert item(person, "pvc", elsewhere)["metadata"]["uid"] != before


def test_up_makes_the_connection_and_the_server_one_again(mended: Person) -> None:
    change = json.dumps({"stringData": {"password": "written-by-hand"}})
    patch = ("patch", "secret", "postgres-credentials", "-n", NAMESPACE, "-p", change)
    mended.kubectl(*patch)
    for command in ("verify", "diagnose"):
        assert mended.run(command, "--json").codes == ["connection-differs"]
    assert mended.run("up").exit_code == 0
    assert mended.secret("postgres-connection")["password"] == "written-by-hand"
    assert mended.run("verify").exit_code == 0


def test_an_image_that_cannot_be_had_is_left_out_again(person: Person, elsewhere: str) -> None:
    where = f'[cluster]\nnamespace = "{elsewhere}"\n'
    person.settings(f'{where}[postgres]\nimage = "postgres:9"\n')
    assert person.run("up", "postgres", "--json").codes == ["image-not-buildable"]
    person.settings(where)
    assert person.run("up", "postgres").exit_code == 0


def test_status_shows_what_runs_whatever_the_settings_say(mended: Person) -> None:
    (before,) = mended.run("status", "postgres", "--json").json["status"]
    mended.kubectl("delete", "secret", "postgres-connection", "postgres-tls", "-n", NAMESPACE)
    mended.settings('[postgres]\nimage = "postgres:9"\n')
    try:
        (row,) = mended.run("status", "postgres", "--json").json["status"]
    finally:
        mended.settings("")
    assert row["image"] == before["image"]
    assert row["certificate_ends"] == "unknown"
