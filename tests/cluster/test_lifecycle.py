"""`down`, `down --purge`, three brokers, failures of `up`, and a restart of the cluster."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import time

import pytest

from .conftest import COMMAND, NAMESPACE, Person
from .machine import eventually

PSQL = ("exec", "-i", "postgres-0", "--", "psql", "-U", "postgres", "-d", "learnflow", "-tA")


def test_down_keeps_the_data_and_up_brings_it_back(person: Person, elsewhere: str) -> None:
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    in_pod = ("-n", elsewhere, *PSQL)
    person.kubectl(*in_pod, stdin="create table kept as select 42 as n")
    secret = ("get", "secret", "postgres-credentials", "-n", elsewhere, "-o", "jsonpath={.data}")
    credentials = person.kubectl(*secret)

    answer = person.run("down", "--json")
    assert answer.exit_code == 0
    assert "statefulset/postgres" in answer.json["removed"]
    assert person.kubectl("get", "pods", "-n", elsewhere, "-o", "name") == ""
    assert person.run("verify", "postgres", "--json").codes == ["not-deployed"]
    status = person.run("status", "--json").json["status"]
    assert {row["service"]: row["volumes"] for row in status}["postgres"] == {
        "data-postgres-0": "Bound"
    }

    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    assert person.kubectl(*in_pod, stdin="select n from kept").strip() == "42"
    assert person.kubectl(*secret) == credentials


def test_a_change_that_cannot_be_rolled_out_ends_with_what_ran_before(
    person: Person, elsewhere: str
) -> None:
    assert person.run("up").exit_code == 0
    in_pod = ("-n", elsewhere, *PSQL)
    person.kubectl(*in_pod, stdin="create table kept as select 42 as n")
    kept = f'[cluster]\nnamespace = "{elsewhere}"\n'
    unfit = '[postgres]\nimage = "apache/kafka:4.3.0"\n[kafka]\nmemory = "16Mi"\n'
    person.settings(kept + unfit)
    answer = person.run("up", "--json")
    assert answer.exit_code == 1
    assert "image-unfit" in answer.codes, answer.stdout
    back = "what ran before was put back, and its pods are ready again"
    assert {f"{each}: {back}" for each in ("kafka", "postgres")} <= set(answer.json["notes"])
    person.settings(kept)
    answer = person.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["changed"] == []
    assert person.kubectl(*in_pod, stdin="select n from kept").strip() == "42"


def test_purge_removes_the_data_and_the_namespace(person: Person, elsewhere: str) -> None:
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    answer = person.administer("down", "--purge", "--yes", "--json")
    assert answer.exit_code == 0
    assert f"namespace/{elsewhere}" in answer.json["removed"]
    assert elsewhere not in person.kubectl("get", "namespaces", "-o", "name")
    volumes = json.loads(person.kubectl("get", "persistentvolumes", "-o", "json"))["items"]
    claims = [each["spec"]["claimRef"]["namespace"] for each in volumes]
    deadline = time.monotonic() + 30
    while elsewhere in claims and time.monotonic() < deadline:
        time.sleep(0.2)
        volumes = json.loads(person.kubectl("get", "persistentvolumes", "-o", "json"))["items"]
        claims = [each["spec"]["claimRef"]["namespace"] for each in volumes]
    assert elsewhere not in claims
    assert person.administer("down", "--purge", "--yes").stdout.startswith("nothing to remove")
    answer = person.administer("up", "postgres", "--json")  # makes the namespace anew
    assert answer.exit_code == 0, answer.stdout
    assert f"namespace/{elsewhere}" in answer.json["changed"]


def test_purge_leaves_a_namespace_that_holds_something_of_others(
    person: Person, elsewhere: str
) -> None:
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    person.kubectl("create", "configmap", "someone", "--from-literal=a=b", "-n", elsewhere)
    answer = person.administer("down", "--purge", "--yes", "--json")
    assert answer.exit_code == 0
    assert "configmaps/someone" in answer.json["notes"][0]
    assert "someone" in person.kubectl("get", "configmaps", "-n", elsewhere, "-o", "name")
    person.kubectl("delete", "configmap", "someone", "-n", elsewhere)


def test_three_brokers_are_proved_and_keep_every_record_twice(
    person: Person, elsewhere: str
) -> None:
    person.settings(
        f'[cluster]\nnamespace = "{elsewhere}"\n[kafka]\nbrokers = 3\ncpu = "100m"\n'
        'topics = [{name = "orders", partitions = 2}]\n'
    )
    answer = person.run("up", "kafka", "--json", timeout=300)
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["services"][0]["pods"] == {"ready": 3, "total": 3}
    said = person.kafka(*("kafka-topics", "--describe", "--topic", "orders"), namespace=elsewhere)
    assert "PartitionCount: 2" in said
    assert "ReplicationFactor: 3" in said
    assert "min.insync.replicas=2" in said

    person.settings(f'[cluster]\nnamespace = "{elsewhere}"\n[kafka]\nbrokers = 1\n')
    answer = person.run("up", "kafka", "--json")
    assert answer.exit_code == 2
    assert answer.codes == ["setting-fixed"]
    assert len(person.kubectl("get", "pods", "-n", elsewhere, "-o", "name").split()) == 3 + 1


def test_an_image_that_cannot_be_had_ends_up_early(person: Person, elsewhere: str) -> None:
    person.settings(
        f'[cluster]\nnamespace = "{elsewhere}"\n[postgres]\nimage = "localhost:1/none:1"\n'
    )
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["image-not-buildable"]


def test_a_pod_that_crashes_ends_up_early_with_its_cause(person: Person, elsewhere: str) -> None:
    person.settings(f'[cluster]\nnamespace = "{elsewhere}"\n[kafka]\nmemory = "64Mi"\n')
    answer = person.run("up", "kafka", "--json", timeout=120)
    assert answer.exit_code == 1
    assert answer.codes[0] in ("out-of-memory", "container-crashing")
    assert len(answer.stdout.encode()) <= 2000


def test_a_restart_of_the_cluster_keeps_the_services_and_their_data(deployed: Person) -> None:
    in_pod = ("-n", NAMESPACE, *PSQL)
    deployed.kubectl(*in_pod, stdin="create table survivor as select 7 as n")
    assert deployed.run("cluster", "down").exit_code == 0
    answer = deployed.run("verify", "--json")
    assert answer.exit_code == 3
    assert answer.codes == ["cluster-not-running"]

    answer = deployed.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["changed"] == []
    assert deployed.kubectl(*in_pod, stdin="select n from survivor").strip() == "7"
    deployed.kubectl(*in_pod, stdin="drop table survivor")


def test_purge_asks_on_a_terminal_and_no_keeps_everything(deployed: Person) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [COMMAND, "down", "--purge"],
        cwd=deployed.folder,
        env=deployed.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 1024)
    os.write(ours, b"n\n")
    assert process.wait(30) == 130
    while b"declined" not in said:
        said += os.read(ours, 1024)
    os.close(ours)
    assert deployed.run("verify").exit_code == 0


# What a power cut leaves: locks whose number is another process's by then, here the pause's.
POWER_CUT = """
for lock in $PGDATA/postmaster.pid /var/run/postgresql/.s.PGSQL.*.lock; do
  { echo 1; tail -n +2 $lock; } > /tmp/lock && cat /tmp/lock > $lock
done
kill -9 $(pgrep -x postgres)
"""


def test_locks_of_a_server_that_is_no_more_keep_none_from_starting(mended: Person) -> None:
    mended.run("psql", "-qc", "create table before (n int); insert into before values (42)")
    restarts = restarted(mended)
    shell = ("exec", "-n", NAMESPACE, "postgres-0", "--", "bash", "-c", POWER_CUT)
    cut = mended.kubectl_command(*shell)
    subprocess.run(cut, env=mended.environment, capture_output=True, timeout=60)
    eventually(lambda: restarted(mended) > restarts)
    answer = mended.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    kept = mended.run("psql", "-qtAc", "select n from before", "-c", "drop table before")
    assert kept.stdout == "42\n"


def restarted(person: Person) -> int:
    count = "jsonpath={.status.containerStatuses[0].restartCount}"
    return int(person.kubectl("get", "pod", "postgres-0", "-n", NAMESPACE, "-o", count))


@pytest.mark.parametrize("pod", ["postgres-0", "kafka-0", "postgres-client-0", "kafka-client-0"])
def test_a_dump_that_is_copied_into_a_pod_evicts_it_not(deployed: Person, pod: str) -> None:
    """The kubelet looks at what volumes hold every ten seconds."""
    shell = ("exec", "-n", NAMESPACE, pod, "--", "bash", "-c")
    deployed.kubectl(*shell, "head -c 300M /dev/zero > /tmp/dump")
    limits = "jsonpath={.spec.volumes[?(@.name=='tmp')].emptyDir}"
    assert deployed.kubectl("get", "pod", pod, "-n", NAMESPACE, "-o", limits) == "{}"
    deployed.kubectl(*shell, "rm /tmp/dump")
