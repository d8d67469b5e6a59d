"""`connect`: an ordinary client on the host reaches both services."""

from __future__ import annotations

import base64
import json
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import kafka
import pg8000.native
import pytest

from report_schema import valid

from .conftest import COMMAND, NAMESPACE, Person


@pytest.fixture
def connections(deployed: Person) -> Iterator[dict[str, Any]]:
    process = deployed.start("connect", "--json")
    assert process.stdout is not None
    try:
        yield valid(process.stdout.readline())["connections"]
    finally:
        process.terminate()
        process.wait(20)
        process.communicate()


def test_a_kafka_client_writes_and_reads(deployed: Person, connections: dict[str, Any]) -> None:
    hint = connections["kafka"]
    assert hint["bootstrap.servers"] == "localhost:19092"
    secret = deployed.secret(hint["secret"])
    config = {
        "bootstrap_servers": hint["bootstrap.servers"],
        "security_protocol": hint["security.protocol"],
        "sasl_mechanism": hint["sasl.mechanism"],
        "sasl_plain_username": hint["user"],
        "sasl_plain_password": secret["password"],
        "ssl_context": ssl.create_default_context(cadata=secret["ca.crt"]),
    }
    payload = secrets.token_bytes(100)
    producer = kafka.KafkaProducer(**config)
    written = producer.send("learnflow.events", payload).get(20)
    producer.close()
    consumer = kafka.KafkaConsumer(**config, auto_offset_reset="earliest")
    partition = kafka.TopicPartition("learnflow.events", written.partition)
    consumer.assign([partition])
    consumer.seek(partition, written.offset)
    records = consumer.poll(20_000)[partition]
    consumer.close()
    assert records[0].value == payload


def test_a_postgresql_client_logs_in_with_the_secret(
    deployed: Person, connections: dict[str, Any]
) -> None:
    hint = connections["postgres"]
    encoded = deployed.kubectl(
        *("get", "secret", hint["secret"], "-n", NAMESPACE, "-o", "jsonpath={.data.password}")
    )
    with pg8000.native.Connection(
        hint["user"],
        host=hint["host"],
        port=int(hint["port"]),
        database=hint["database"],
        password=base64.b64decode(encoded).decode(),
        timeout=20,
    ) as session:
        assert session.run("select current_user") == [["learnflow"]]


def test_clients_that_end_without_a_word_leave_no_session_behind(
    deployed: Person, connections: dict[str, Any]
) -> None:
    hint = connections["postgres"]
    password = deployed.secret(hint["secret"])["password"]

    def login(host: str) -> Any:
        return pg8000.native.Connection(
            hint["user"],
            host=host,
            port=int(hint["port"]),
            database=hint["database"],
            password=password,
            application_name="silent" if host != "localhost" else "asking",
            timeout=20,
        )

    for address in ("127.0.0.1", "::1"):
        client = login(address)
        client._usock.shutdown(socket.SHUT_RDWR)
        client._sock.close()
        client._usock.close()
    until = time.monotonic() + 20
    with login("localhost") as session:
        query = "select count(*) from pg_stat_activity where application_name = 'silent'"
        while session.run(query) != [[0]]:
            assert time.monotonic() < until, "sessions are left"
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("address", "family"), [("127.0.0.1", socket.AF_INET), ("::1", socket.AF_INET6)]
)
def test_a_port_that_is_taken_is_named(
    deployed: Person, address: str, family: socket.AddressFamily
) -> None:
    with socket.create_server((address, 15432), family=family):
        answer = deployed.run("connect", "postgres", "--json")
    assert answer.exit_code == 2
    assert answer.codes == ["host-port-taken"]
    assert "15432" in answer.json["findings"][0]["message"]


LISTEN = """
import sys
from learnflow_infra.commands import connect
from learnflow_infra.services import registry
found = list(connect._listeners(registry.find("postgres"), None, int(sys.argv[1])))
print(len(found))
"""


def test_a_machine_without_ipv6_has_one_address() -> None:
    """Of the kernel's own, as a machine has it that turned IPv6 off."""
    off = 'ip link set lo up; sysctl -qw net.ipv6.conf.all.disable_ipv6={}; exec "$@"'
    for disabled, addresses in ((0, "2\n"), (1, "1\n")):
        argv = ["unshare", "--net", "sh", "-c", off.format(disabled), "sh"]
        argv += [sys.executable, "-c", LISTEN, "15432"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        assert done.stdout == addresses, done.stderr


def test_the_services_own_tools_run_with_the_login(deployed: Person) -> None:
    answer = deployed.run("psql", "-tAc", "select current_user", "-c", "select 1/0")
    assert (answer.exit_code, answer.stdout) == (1, "learnflow\n"), answer.stderr
    assert "division by zero" in answer.stderr
    answer = deployed.run("kafka", "topics", "--list")
    assert (answer.exit_code, answer.stdout) == (0, "learnflow.events\n"), answer.stderr
    for wrong, said in (
        (("kafka", "brokers"), "'brokers' is no tool of kafka's; there are topics, produce"),
        (("kafka",), "TOOL"),
    ):
        answer = deployed.run(*wrong)
        assert answer.exit_code == 2
        assert said in answer.stdout


SHOW = "import os; print(os.environ['PGUSER'], os.environ['KAFKA_SASL_USERNAME'], end='')"
LOGIN = """
import os, ssl, pg8000.native
env = os.environ
context = ssl.create_default_context(cafile=env["PGSSLROOTCERT"])
with pg8000.native.Connection(
    env["PGUSER"], host=env["PGHOST"], port=int(env["PGPORT"]), database=env["PGDATABASE"],
    password=env["PGPASSWORD"], ssl_context=context, timeout=20,
) as session:
    print(session.run("select current_user")[0][0])
"""


def test_a_command_runs_with_the_logins_and_ends_it(deployed: Person) -> None:
    answer = deployed.run("connect", "--", sys.executable, "-c", f"{SHOW}; raise SystemExit(7)")
    assert (answer.exit_code, answer.stdout) == (7, "learnflow learnflow"), answer.stderr
    answer = deployed.run("connect", "--env", "postgres", "--", sys.executable, "-c", LOGIN)
    assert (answer.exit_code, answer.stdout) == (0, "learnflow\n"), answer.stderr
    others = "import os; print('KAFKA_SASL_USERNAME' in os.environ, end='')"
    answer = deployed.run("connect", "postgres", "--", sys.executable, "-c", others)
    assert (answer.exit_code, answer.stdout) == (0, "False")
    for wrong, said in (
        (("connect", "--"), "no command follows after --"),
        (("connect", "--env"), "no command follows after --"),
        (("connect", "--", "no-such-program"), "no-such-program: No such file"),
        (("verify", "--", "true"), "'true' is no service"),
    ):
        answer = deployed.run(*wrong)
        assert answer.exit_code == 2
        assert said in answer.stdout
    assert not lingering()


TOLD = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(33))
signal.signal(signal.SIGINT, lambda *_: print("asked", flush=True))
print("runs", flush=True)
while True:
    time.sleep(1)
"""


def test_signals_are_the_commands_own(deployed: Person) -> None:
    process = deployed.start("connect", "--", sys.executable, "-c", TOLD)
    assert process.stdout is not None
    assert process.stdout.readline() == "runs\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "asked\n"
    process.terminate()
    process.communicate(timeout=20)
    assert process.returncode == 33
    assert not lingering()


def test_a_command_ends_with_the_time(deployed: Person) -> None:
    answer = deployed.run("connect", "--timeout", "3", "--", sys.executable, "-c", TOLD)
    assert answer.exit_code == 5
    assert "deadline-passed" in answer.stdout
    assert not lingering()


def lingering() -> list[str]:
    """Commands of these tests that still run."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    words = ("KAFKA_SASL_USERNAME", 'print("asked"')
    return [line for line in found.stdout.splitlines() if any(word in line for word in words)]


def test_a_login_is_printed_in_the_form_that_is_asked_for(deployed: Person) -> None:
    secret = deployed.secret("postgres-connection")
    answer = deployed.run("env", "--service", "postgres", "--format", "pgpass")
    assert answer.exit_code == 0
    line = f"localhost:15432:learnflow:learnflow:{secret['password']}\n"
    assert (answer.stdout, answer.stderr) == (line, "")
    inside = deployed.run("env", "--service", "postgres", "--cluster", "--format", "json")
    assert json.loads(inside.stdout) == {
        "host": "postgres.learnflow.svc",
        "port": 5432,
        "database": "learnflow",
        "username": "learnflow",
        "password": secret["password"],
        "sslmode": "verify-full",
        "sslrootcert": "/etc/postgres-connection/ca.crt",
    }
    both = json.loads(deployed.run("env", "--format", "node").stdout)
    assert both["kafka"]["brokers"] == ["localhost:19092"]
    assert both["postgres"]["ssl"]["ca"].startswith("-----BEGIN CERTIFICATE-----\n")
    admin = deployed.run("env", "--user", "admin")
    assert "KAFKA_SASL_USERNAME=admin\n" in admin.stdout
    assert "PGUSER" not in admin.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--user", "nobody"), "there is no user 'nobody'; there are learnflow, admin"),
        (
            ("--service", "kafka", "--format", "jdbc"),
            "kafka: there is no form 'jdbc'; there are env, json, properties, spring, node, python",
        ),
        (("--service", "redis"), "'redis' is no service of the settings"),
    ],
)
def test_a_login_that_is_not_there(deployed: Person, arguments: tuple[str, ...], said: str) -> None:
    answer = deployed.run("env", *arguments)
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert said in answer.stderr


def test_a_shell_reads_the_variables(deployed: Person) -> None:
    script = 'set -a; eval "$("$0" env)"; printf %s "$DATABASE_URL"'
    argv = ["sh", "-c", script, str(COMMAND)]
    done = subprocess.run(
        argv, cwd=deployed.folder, env=deployed.environment, capture_output=True, text=True
    )
    password = deployed.secret("postgres-connection")["password"]
    start = f"postgresql://learnflow:{password}@localhost:15432/learnflow?sslmode=verify-full"
    assert done.stdout.startswith(start), done.stderr
