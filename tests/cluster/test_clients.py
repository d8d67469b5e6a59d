"""The examples of the skills' references run as they stand there, with the clients that people use:
in a pod of the references' manifest, and on the host through `connect`."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

import clients
from clients import Example
from learnflow_infra.cluster.local import LocalCluster
from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.x509 import Authority
from learnflow_infra.services import registry

from . import probes
from .conftest import COMMAND, Answer, Person
from .machine import eventually

SPACE = "clients"
EXAMPLES = {
    "confluent-kafka": Example("kafka", "python", 0),
    "aiokafka": Example("kafka", "python", 1),
    "kafkajs": Example("kafka", "node", 0),
    "franz-go": Example("kafka", "go", 0),
    "kafka-clients": Example("kafka", "java", 0),
    "psycopg": Example("postgres", "python", 0),
    "asyncpg": Example("postgres", "python", 1),
    "node-postgres": Example("postgres", "node", 0),
    "pgx": Example("postgres", "go", 0),
    "pgjdbc": Example("postgres", "java", 0),
}
SPRING = {
    "spring-kafka": Example("kafka", "java", 1),
    "spring-jdbc": Example("postgres", "java", 1),
}
PRISMA = [Example("postgres", "prisma", place) for place in range(2)]
CDC = [Example("postgres", "cdc", place) for place in range(3)]
TOPIC = "learnflow.events"
FOREIGN = "/tmp/foreign.crt"
_RUN = {
    "python": 'exec python3 -c "$0"',
    "javascript": 'exec node -e "$0"',
    "java": 'printf %s "$0" > /tmp/Example.java && exec java /tmp/Example.java',
}
# What the machine beside the cluster is: the image's root, with the authority's certificate.
_BESIDE = """
mount --rbind /dev "$0/dev" && mount -t proc proc "$0/proc" && mount -t tmpfs tmpfs "$0/tmp"
mkdir -p "$0$1" && mount --bind "$1" "$0$1" && root=$0 && shift && exec chroot "$root" "$@"
"""
_SPRING_START = """
import org.springframework.boot.*;
import org.springframework.boot.autoconfigure.*;
import org.springframework.boot.autoconfigure.jdbc.DataSourceAutoConfiguration;
import org.springframework.boot.builder.SpringApplicationBuilder;
"""
_SPRING_RUN = """
var context = new SpringApplicationBuilder(App.class).bannerMode(Banner.Mode.OFF).run(arguments)
"""
SPRING_APPS = {
    "spring-kafka": f"""{_SPRING_START}
import java.time.Duration;
import java.util.List;
import org.springframework.kafka.core.*;

@EnableAutoConfiguration(exclude = DataSourceAutoConfiguration.class)
class App {{
    public static void main(String[] arguments) throws Exception {{
        try ({_SPRING_RUN};
                var consumer = context.getBean(ConsumerFactory.class).createConsumer()) {{
            context.getBean(KafkaTemplate.class).send("{TOPIC}", "hello from spring-kafka").get();
            consumer.subscribe(List.of("{TOPIC}"));
            var records = consumer.poll(Duration.ofSeconds(1));
            while (records.isEmpty()) records = consumer.poll(Duration.ofSeconds(1));
            System.out.println(((org.apache.kafka.clients.consumer.ConsumerRecord<?, ?>)
                    records.iterator().next()).value());
        }}
    }}
}}
""",
    "spring-jdbc": f"""{_SPRING_START}
import org.springframework.jdbc.core.JdbcTemplate;

@EnableAutoConfiguration
class App {{
    public static void main(String[] arguments) {{
        try ({_SPRING_RUN}) {{
            System.out.println(context.getBean(JdbcTemplate.class).queryForObject(
                    "select 'hello from spring-jdbc'", String.class));
        }}
    }}
}}
""",
}


@dataclass(frozen=True)
class Machine:
    """A place where clients run: a pod, or the host."""

    person: Person
    root: Path
    pods: bool

    def run(
        self, service: str, argv: Sequence[str], *, seconds: float = 60, program: Path | None = None
    ) -> Answer:
        """The command there with the service's login; of Go's a program that the host has."""
        beside = ["timeout", "-s", "KILL", f"{seconds:g}"]
        settings = [f"{key}={value}" for key, value in clients.ENVIRONMENT.items()]
        if self.pods:
            exec_ = ("exec", "-i", "-n", SPACE, f"{service}-example", "--")
            command = self.person.kubectl_command(*exec_, *beside, *argv)
        elif program:
            command = self._connected(service, *beside, *argv)
        else:
            authorities = str(paths.cache() / "authorities")
            chroot = ("unshare", "--mount", "sh", "-ec", _BESIDE, str(self.root), authorities)
            command = self._connected(service, *beside, *chroot, "env", *settings, *argv)
        done = subprocess.run(
            command,
            cwd=self.person.folder,
            env=self.person.environment,
            input=program.read_bytes() if program and self.pods else b"",
            capture_output=True,
            timeout=seconds + 60,
        )
        return Answer(done.returncode, done.stdout.decode(), done.stderr.decode())

    def _connected(self, service: str, *argv: str) -> list[str]:
        return [str(COMMAND), "connect", service, "--", *argv]


@pytest.fixture(scope="module")
def deployment(person: Person) -> Iterator[Person]:
    """Both services in a namespace with a topic for each client."""
    names = [*EXAMPLES, *SPRING]
    topics = "".join(
        f'[[kafka.topics]]\nname = "learnflow.{name}.{place}"\npartitions = 1\n'
        for name in names
        for place in ("pod", "host")
    )
    person.settings(f'[cluster]\nnamespace = "{SPACE}"\n{topics}{CDC[0].code}')
    LocalCluster().load(clients.archive(Deadline(60)), Deadline(120))
    answer = person.run("up")
    assert answer.exit_code == 0, answer.stdout
    probes.apply(person, manifest("kafka"), manifest("postgres"), capturing())
    probes.await_ready(person, SPACE)
    yield person
    answer = person.administer("down", "--purge", "--yes")
    assert answer.exit_code == 0, answer.stdout
    person.kubectl("delete", "namespace", SPACE, "--ignore-not-found", "--wait=true")
    person.settings("")


def manifest(service: str) -> dict[str, object]:
    """The reference's pod, with the image that is at hand."""
    text = Example(service, "manifest", 0).code
    text = text.replace("namespace: learnflow\n", f"namespace: {SPACE}\n")
    text = text.replace("image: example:1", f"image: {clients.REFERENCE}")
    pod: dict[str, object] = yaml.safe_load(text)
    return pod


def capturing() -> dict[str, object]:
    """A pod with what both references' pods have, and a folder that lasts."""
    both: Any = manifest("kafka")
    other: Any = manifest("postgres")
    both["metadata"]["name"] = "capture-example"
    (container,), (beside,) = both["spec"]["containers"], other["spec"]["containers"]
    container["env"] += beside["env"]
    container["volumeMounts"] += beside["volumeMounts"]
    container["volumeMounts"].append({"name": "connect", "mountPath": "/var/lib/connect"})
    both["spec"]["volumes"] += [*other["spec"]["volumes"], {"name": "connect", "emptyDir": {}}]
    made: dict[str, object] = both
    return made


@pytest.fixture(params=["pod", "host"])
def machine(deployment: Person, request: pytest.FixtureRequest) -> Machine:
    root = clients.unpacked(Deadline(60))
    return Machine(deployment, root, pods=request.param == "pod")


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(machine: Machine, name: str, tmp_path: Path) -> None:
    require_greeting(run(machine, name, tmp_path), name)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_checks_the_server(deployment: Person, name: str, tmp_path: Path) -> None:
    """Told of another authority, it does not get through."""
    place = Machine(deployment, clients.unpacked(Deadline(60)), pods=True)
    service = EXAMPLES[name].service
    certificate = Authority.new("foreign", 1).pair.certificate
    write = ("sh", "-c", f'printf %s "$0" > {FOREIGN}', certificate)
    assert place.run(service, write).exit_code == 0
    done = run(place, name, tmp_path, foreign=True)
    assert done.exit_code != 0
    assert "hello" not in done.stdout


def require_greeting(done: Answer, name: str) -> None:
    assert done.exit_code == 0, done.stderr[-2000:]
    assert f"hello from {name}" in done.stdout.splitlines()  # Java's libraries log beside it


def run(machine: Machine, name: str, folder: Path, *, foreign: bool = False) -> Answer:
    example = EXAMPLES[name]
    place = "pod" if machine.pods else "host"
    code = example.code.replace(TOPIC, f"learnflow.{name}.{place}")
    change = ["env", f"KAFKA_SSL_CA_LOCATION={FOREIGN}", f"PGSSLROOTCERT={FOREIGN}"]
    ahead, seconds = (change, 10) if foreign else ([], 60)
    if example.language != "go":
        argv = [*ahead, "sh", "-c", _RUN[example.language], code]
        return machine.run(example.service, argv, seconds=seconds)
    program = folder / "example"
    clients.build_go(code, program)
    argv = [*ahead, str(program)]
    if machine.pods:
        argv = [*ahead, "sh", "-c", "cat > /tmp/example && chmod +x /tmp/example && /tmp/example"]
    return machine.run(example.service, argv, seconds=seconds, program=program)


@pytest.mark.parametrize("name", SPRING)
def test_a_spring_boot_application_runs_with_the_references_properties(
    machine: Machine, name: str
) -> None:
    place = "pod" if machine.pods else "host"
    topic = f"learnflow.{name}.{place}"
    script = (
        'printf %s "$0" > /tmp/App.java; printf %s "$1" > /tmp/application.properties; '
        "exec java /tmp/App.java --spring.config.location=/tmp/application.properties "
        "--logging.level.root=ERROR"
    )
    app = SPRING_APPS[name].replace(TOPIC, topic)
    done = machine.run(SPRING[name].service, ["sh", "-c", script, app, SPRING[name].code])
    require_greeting(done, name)


_PRISMA_RUN = """
mkdir /tmp/prisma; cd /tmp/prisma; ln -s /clients/node/node_modules node_modules
printf %s "$0" > schema.prisma; printf %s "$1" > example.js
export CHECKPOINT_DISABLE=1 PRISMA_SCHEMA_ENGINE_BINARY=/bin/true
node node_modules/prisma/build/index.js generate >&2 && node example.js
"""


def test_prisma_s_client_runs(machine: Machine) -> None:
    """Its migrations need an engine that is in no package registry, and that nothing here runs."""
    blocks = [example.code for example in PRISMA]
    done = machine.run("postgres", ["sh", "-c", _PRISMA_RUN, *blocks])
    require_greeting(done, "prisma")


class Capture:
    """Kafka Connect in its pod."""

    def __init__(self, person: Person) -> None:
        self._machine = Machine(person, Path(), pods=True)
        self._person = person

    def shell(self, script: str, *arguments: str) -> str:
        done = self._machine.run("capture", ["bash", "-c", script, *arguments])
        assert done.exit_code == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        self.shell(
            'printf %s "$0" > /tmp/worker.properties; printf %s "$1" > /tmp/orders.properties; '
            "nohup java -cp '/clients/connect/*' -Dorg.slf4j.simpleLogger.defaultLogLevel=warn "
            "org.apache.kafka.connect.cli.ConnectStandalone "
            "/tmp/worker.properties /tmp/orders.properties >> /tmp/log 2>&1 < /dev/null &",
            CDC[1].code,
            CDC[2].code,
        )

    def kill(self) -> None:
        self.shell("kill -9 $(pgrep -f '[C]onnectStandalone')")

    def await_(self, condition: Callable[[], bool]) -> None:
        try:
            eventually(condition, 60)
        except AssertionError as error:
            raise AssertionError(f"{error}; {self.shell('tail -c 3000 /tmp/log')}") from error

    def sql(self, *statements: str) -> str:
        options = ("-qtA", "-v", "ON_ERROR_STOP=1", "-c", "; ".join(statements))
        answer = self._person.run("psql", *options)
        assert answer.exit_code == 0, answer.stderr
        return answer.stdout

    def events(self) -> dict[int, list[tuple[str, int | None]]]:
        """What each row became, in the order of its partition; what came twice, once."""
        found: dict[int, dict[int, tuple[str, int | None]]] = {}
        for line in self.shell('exec python3 -c "$0"', _EVENTS).splitlines():
            lsn, op, number, value = json.loads(line)
            found.setdefault(number, {}).setdefault(lsn, (op, value))
        return {number: list(changes.values()) for number, changes in found.items()}


_EVENTS = """
import json, os
from confluent_kafka import Consumer, TopicPartition

consumer = Consumer({
    "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
    "security.protocol": os.environ["KAFKA_SECURITY_PROTOCOL"],
    "sasl.mechanism": os.environ["KAFKA_SASL_MECHANISM"],
    "sasl.username": os.environ["KAFKA_SASL_USERNAME"],
    "sasl.password": os.environ["KAFKA_SASL_PASSWORD"],
    "ssl.ca.location": os.environ["KAFKA_SSL_CA_LOCATION"],
    "group.id": "learnflow.reader",
    "enable.auto.commit": False,
})
for partition in range(3):
    place = TopicPartition("learnflow.public.orders", partition, 0)
    low, high = consumer.get_watermark_offsets(place, timeout=30)
    consumer.assign([place])
    while low < high:
        record = consumer.poll(30)
        low = record.offset() + 1
        if record.value() is None:  # a deletion's tombstone
            continue
        change = json.loads(record.value())
        row = change["after"] or change["before"]
        print(json.dumps([change["source"]["lsn"], change["op"], row["id"], row["value"]]))
"""


def test_changes_of_a_table_come_to_a_topic_and_none_is_lost_when_connect_is_killed(
    deployment: Person,
) -> None:
    capture = Capture(deployment)
    capture.sql(
        "create table orders (id int primary key, value int)",
        "alter table orders replica identity full",
    )
    capture.start()
    # What is written from then on is streamed.
    slots = "select count(*) from pg_replication_slots where slot_name = 'orders'"
    capture.await_(lambda: capture.sql(slots) == "1\n")
    expected: dict[int, list[tuple[str, int | None]]] = {}
    for batch in range(10):
        rows = range(batch * 100, batch * 100 + 100)
        where = f"where id >= {rows[0]} and id <= {rows[-1]}"
        capture.sql(
            f"insert into orders select n, 0 from generate_series({rows[0]}, {rows[-1]}) n",
            f"update orders set value = id {where}",
            f"delete from orders {where} and id % 3 = 0",
        )
        for number in rows:
            gone = [("d", number)] if number % 3 == 0 else []
            expected[number] = [("c", 0), ("u", number), *gone]
        if batch == 5:
            capture.kill()
        if batch == 6:
            capture.start()
    last = max(expected)
    capture.await_(lambda: expected[last] == capture.events().get(last))
    assert capture.events() == expected


def test_every_block_of_the_references_is_one_that_a_test_runs() -> None:
    run_here = {
        (each.service, each.code) for each in (*EXAMPLES.values(), *SPRING.values(), *PRISMA, *CDC)
    }
    for service in ("kafka", "postgres"):
        run_here.add((service, Example(service, "manifest", 0).code))
        skill = registry.find(service).skill
        assert skill is not None
        pages = set((skill / "references").glob("*.md"))
        for page in pages - {skill / f"references/{x}.md" for x in ("connection", "settings")}:
            text = page.read_text()
            for block in re.findall(r"```\w+\n(.*?)```", text, re.DOTALL):
                assert (service, block) in run_here
