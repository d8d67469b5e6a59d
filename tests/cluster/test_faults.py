"""Faults put into the real services one at a time, and what `verify` calls them; then states that
look odd and are healthy."""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator

import pytest

from .conftest import NAMESPACE, Person

# Beside the 20 s that a round trip may take: a busy machine must not make a test fail.
MOST_SECONDS = 45


def psql(person: Person, *statements: str) -> None:
    """As the superuser, in the database that no test breaks."""
    commands = [word for each in statements for word in ("-c", each)]
    in_pod = ("exec", "-n", NAMESPACE, "postgres-0", "--")
    person.kubectl(*in_pod, "psql", "-v", "ON_ERROR_STOP=1", "-U", "postgres", *commands)


def judged(person: Person, service: str, *codes: str, exit_code: int = 1) -> str:
    """`verify` names one of the codes first, in time and in few words; says its message."""
    started = time.monotonic()
    answer = person.run("verify", "--json")
    assert time.monotonic() - started < MOST_SECONDS
    assert answer.exit_code == exit_code, answer.stdout
    first = answer.json["findings"][0]
    assert first["code"] in codes, answer.stdout
    assert first["service"] == service
    assert {each["service"] for each in answer.json["findings"]} == {service}
    text = person.run("verify")
    assert text.exit_code == exit_code
    assert len(text.stdout.encode()) <= 2000
    assert re.search(rf"^({'|'.join(codes)})  {service}: ", text.stdout, re.MULTILINE)
    return str(first["message"])


def patch(person: Person, kind: str, name: str, **fields: object) -> None:
    person.kubectl("patch", kind, name, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(fields))


def delete(person: Person, kind: str, name: str) -> None:
    person.kubectl("delete", kind, name, "-n", NAMESPACE)


# ---- PostgreSQL


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (["alter role learnflow password 'another'"], "postgres-password"),
        (["alter role learnflow nologin"], "postgres-role"),
        (["alter database learnflow owner to postgres", "drop role learnflow"], "postgres-role"),
    ],
    ids=["password", "no-login", "no-role"],
)
def test_a_role_that_cannot_log_in(mended: Person, fault: list[str], code: str) -> None:
    psql(mended, *fault)
    assert "role learnflow" in judged(mended, "postgres", code)
    assert "role learnflow" in mended.run("up", "postgres", "--json").json["changed"]


@pytest.mark.parametrize(
    ("fault", "undo", "code"),
    [
        (
            "alter role learnflow connection limit 0",
            "alter role learnflow connection limit -1",
            "postgres-connections-exhausted",
        ),
        (
            "alter database learnflow connection limit 0",
            "alter database learnflow connection limit -1",
            "postgres-connections-exhausted",
        ),
        (
            "alter database learnflow set default_transaction_read_only = on",
            "alter database learnflow reset default_transaction_read_only",
            "postgres-read-only",
        ),
    ],
    ids=["role-limit", "database-limit", "read-only"],
)
def test_a_database_that_refuses(mended: Person, fault: str, undo: str, code: str) -> None:
    psql(mended, fault)
    try:
        assert "database learnflow" in judged(mended, "postgres", code)
    finally:
        psql(mended, undo)


def test_a_database_of_another_name(mended: Person) -> None:
    leave = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{}'"
    psql(mended, leave.format("learnflow"), "alter database learnflow rename to moved")
    try:
        assert "database learnflow" in judged(mended, "postgres", "postgres-database-missing")
    finally:
        psql(mended, leave.format("moved"), "alter database moved rename to learnflow")


def test_a_line_of_pg_hba_that_refuses(mended: Person) -> None:
    def edit(script: str) -> None:
        command = f'sed -i "{script}" "$PGDATA/pg_hba.conf"'
        mended.kubectl("exec", "-n", NAMESPACE, "postgres-0", "--", "sh", "-c", command)
        psql(mended, "select pg_reload_conf()")

    edit("1i host all learnflow all reject")
    try:
        judged(mended, "postgres", "postgres-access-refused")
    finally:
        edit("1d")


# ---- Kafka


def test_a_headless_service_that_is_gone(mended: Person) -> None:
    delete(mended, "service", "kafka-brokers")
    name = f"kafka-0.kafka-brokers.{NAMESPACE}.svc"
    gone = f"for i in $(seq 300); do getent hosts {name} || exit 0; sleep 0.2; done; exit 1"
    mended.kubectl("exec", "-n", NAMESPACE, "kafka-0", "--", "bash", "-c", gone)
    assert name in judged(mended, "kafka", "kafka-advertised-address")


def test_a_cluster_id_that_is_not_the_volumes_and_its_remedy(mended: Person) -> None:
    delete(mended, "secret", "kafka-credentials")
    judged(mended, "kafka", "credentials-missing")
    for code in ("kafka-node-password", "kafka-cluster-id"):
        answer = mended.run("up", "kafka", "--json")
        assert answer.exit_code == 1
        assert answer.codes == [code]
        kubectl, *arguments = shlex.split(answer.json["findings"][0]["remedy"].split("`")[1])
        assert kubectl == "kubectl"
        judged(mended, "kafka", "kafka-password" if code == "kafka-node-password" else code)
        mended.kubectl(*arguments)
    assert mended.run("verify", "kafka").exit_code == 0


def test_topics_that_kafka_refuses(mended: Person) -> None:
    wide = ", ".join(f'{{name = "wide-{n}", partitions = 1000}}' for n in range(11))
    mended.settings(f"[kafka]\ntopics = [{wide}]\n")
    try:
        answer = mended.run("up", "kafka", "--json")
    finally:
        mended.settings("")
    assert answer.exit_code == 1
    assert answer.codes == ["kafka-topic-refused"]
    assert "partitions" in answer.json["findings"][0]["message"]


# ---- both


@pytest.mark.parametrize("service", ["kafka", "postgres"])
def test_a_service_without_endpoints(mended: Person, service: str) -> None:
    patch(mended, "service", service, spec={"selector": {"app.kubernetes.io/name": "nothing"}})
    judged(mended, service, "service-unreachable")


@pytest.mark.parametrize("service", ["kafka", "postgres"])
def test_a_service_that_is_gone(mended: Person, service: str) -> None:
    delete(mended, "service", service)
    # The cluster's DNS may know the old address for a while; nothing answers there.
    judged(mended, service, "name-unknown", "service-unreachable")


@pytest.mark.parametrize("service", ["kafka", "postgres"])
def test_a_connection_secret_that_is_gone(mended: Person, service: str) -> None:
    delete(mended, "secret", f"{service}-connection")
    judged(mended, service, "connection-missing")


@pytest.mark.parametrize(
    ("service", "key", "value"),
    [
        ("kafka", "bootstrap.servers", "nowhere.learnflow.svc:9092"),
        ("postgres", "host", "nowhere.learnflow.svc"),
    ],
)
def test_a_connection_secret_that_names_another_host(
    mended: Person, service: str, key: str, value: str
) -> None:
    patch(mended, "secret", f"{service}-connection", stringData={key: value})
    assert "nowhere" in judged(mended, service, "name-unknown")


@pytest.mark.parametrize("service", ["kafka", "postgres"])
def test_a_pod_being_replaced_is_judged_in_time(mended: Person, service: str) -> None:
    mended.kubectl("delete", "pod", f"{service}-0", "-n", NAMESPACE, "--wait=false")
    started = time.monotonic()
    answer = mended.run("verify", service, "--json")
    assert time.monotonic() - started < MOST_SECONDS
    if answer.exit_code:
        assert answer.codes[0] == "pods-not-ready", answer.stdout


def signal_to(person: Person, namespace: str, pod: str, program: str, signal: str) -> None:
    script = (
        f'for each in /proc/[0-9]*; do if [ "$(cat $each/comm)" = {program} ]; '
        f"then kill -{signal} ${{each#/proc/}}; fi; done 2>/dev/null; true"
    )
    person.kubectl("exec", "-n", namespace, pod, "--", "bash", "-c", script)


def test_ready_pods_whose_servers_hang_are_no_success(mended: Person) -> None:
    servers = (("kafka-0", "java"), ("postgres-0", "postgres"))
    for pod, program in servers:
        signal_to(mended, NAMESPACE, pod, program, "STOP")
    try:
        started = time.monotonic()
        answer = mended.run("verify", "--json")
        assert time.monotonic() - started < MOST_SECONDS
    finally:
        for pod, program in servers:
            signal_to(mended, NAMESPACE, pod, program, "CONT")
    assert answer.exit_code == 1
    assert answer.codes == ["service-slow", "service-slow"], answer.stdout
    assert all(each["pods"] == {"ready": 1, "total": 1} for each in answer.json["services"])


def test_a_broker_of_three_that_hangs_is_missed(person: Person, elsewhere: str) -> None:
    person.settings(f'[cluster]\nnamespace = "{elsewhere}"\n[kafka]\nbrokers = 3\ncpu = "100m"\n')
    answer = person.run("up", "kafka", timeout=300)
    assert answer.exit_code == 0, answer.stdout
    signal_to(person, elsewhere, "kafka-2", "java", "STOP")
    deadline = time.monotonic() + 120
    # The controllers give a broker up after 9 s. A proof begun before waits for its
    # acknowledgement, and may then still get it from the other two.
    answer = person.run("verify", "kafka", "--json")
    while answer.codes != ["kafka-brokers-missing"]:
        assert time.monotonic() < deadline, answer.stdout
        answer = person.run("verify", "kafka", "--json")
    assert answer.exit_code == 1
    assert "2 of 3" in answer.json["findings"][0]["message"]
    signal_to(person, elsewhere, "kafka-2", "java", "CONT")
    answer = person.run("up", "kafka")
    assert answer.exit_code == 0, answer.stdout


# ---- odd, and healthy


@pytest.fixture
def image(deployed: Person) -> str:
    """One that the node has."""
    path = "-o=jsonpath={.spec.template.spec.containers[0].image}"
    return deployed.kubectl("get", "statefulset", "postgres", "-n", NAMESPACE, path)


@pytest.fixture
def crowd(deployed: Person) -> Iterator[str]:
    """Another team's namespace."""
    deployed.kubectl("create", "namespace", "others")
    yield "others"
    deployed.kubectl("delete", "namespace", "others")


def spec(image: str, command: str) -> dict[str, object]:
    """A pod that the restricted Pod Security Standard lets in."""
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 1000,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": "main",
                "image": image,
                "imagePullPolicy": "Never",
                "command": ["sh", "-c", command],
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "capabilities": {"drop": ["ALL"]},
                },
            }
        ],
    }


def pod(name: str, namespace: str, image: str, command: str, **metadata: object) -> str:
    meta = {"name": name, "namespace": namespace, **metadata}
    body = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec(image, command)}
    return json.dumps(body)


def ended(person: Person, kind: str, name: str, condition: str) -> None:
    person.kubectl("wait", f"{kind}/{name}", "-n", NAMESPACE, f"--for={condition}", "--timeout=60s")


def test_a_finished_job_is_no_fault(deployed: Person, image: str) -> None:
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "done", "namespace": NAMESPACE},
        "spec": {"template": {"spec": spec(image, "true")}},
    }
    deployed.kubectl("create", "-f", "-", stdin=json.dumps(job))
    try:
        ended(deployed, "job", "done", "condition=Complete")
        assert deployed.run("verify").exit_code == 0
    finally:
        delete(deployed, "job", "done")


def test_a_failed_pod_that_only_has_the_labels_is_no_fault(deployed: Person, image: str) -> None:
    name = "-o=jsonpath={.metadata.labels}"
    labels = json.loads(deployed.kubectl("get", "pod", "kafka-0", "-n", NAMESPACE, name))
    mine = {key: labels[key] for key in ("app.kubernetes.io/name", "learnflow-app/scope")}
    stray = pod("stray", NAMESPACE, image, "exit 1", labels=mine)
    deployed.kubectl("create", "-f", "-", stdin=stray)
    try:
        ended(deployed, "pod", "stray", "jsonpath={.status.phase}=Failed")
        answer = deployed.run("verify", "--json")
        assert answer.exit_code == 0, answer.stdout
        assert answer.json["services"][0]["pods"] == {"ready": 1, "total": 1}
    finally:
        delete(deployed, "pod", "stray")


def test_broken_pods_in_another_namespace_are_no_fault(
    deployed: Person, crowd: str, image: str
) -> None:
    for n in range(3):
        absent = pod(f"absent-{n}", crowd, "docker.io/nobody/nothing:1", "true")
        deployed.kubectl("create", "-f", "-", stdin=absent)
        deployed.kubectl("create", "-f", "-", stdin=pod(f"dead-{n}", crowd, image, "exit 3"))
    waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImageNeverPull"
    for name, condition in (("absent-2", waiting), ("dead-2", "jsonpath={.status.phase}=Failed")):
        deployed.kubectl("wait", f"pod/{name}", "-n", crowd, f"--for={condition}", "--timeout=60s")
    assert deployed.run("verify").exit_code == 0
