"""The bare floor: the same Kafka and PostgreSQL as plain processes of this machine, both started at
once from nothing, until the first round trip of each.

They run in a chroot of the very images that the cluster runs, without class-data archives of their
own, with the heap and the JVM's options of the deployment.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kafka
import pg8000.native

from learnflow_infra import image_builder
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.services.kafka import image as kafka_image
from learnflow_infra.services.postgres import image as postgres_image
from throughput import Shell, output

KAFKA_PORT, CONTROLLER_PORT, POSTGRES_PORT = 29092, 29093, 25432
KAFKA = {"bootstrap.servers": f"localhost:{KAFKA_PORT}"}
POSTGRES = {
    "host": "localhost",
    "port": str(POSTGRES_PORT),
    "username": "postgres",
    "database": "postgres",
}

_KAFKA = f"""\
cat > /tmp/bare.properties <<END
process.roles=broker,controller
node.id=0
controller.quorum.voters=0@localhost:{CONTROLLER_PORT}
controller.listener.names=CONTROLLER
listeners=CLIENT://localhost:{KAFKA_PORT},CONTROLLER://localhost:{CONTROLLER_PORT}
inter.broker.listener.name=CLIENT
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=/tmp/bare-kafka
offsets.topic.replication.factor=1
group.initial.rebalance.delay.ms=0
END
export LOG_DIR=/tmp/bare-logs EXTRA_ARGS="-name kafkaServer" KAFKA_HEAP_OPTS="-Xms256m -Xmx256m"
own_archive=$(dirname "$(readlink -f "$JAVA_HOME/bin/java")")/../lib/server/classes.jsa
export KAFKA_JVM_PERFORMANCE_OPTS="-XX:+UseSerialGC -XX:TieredStopAtLevel=1
  -XX:SharedArchiveFile=$own_archive"
/opt/kafka/bin/kafka-storage.sh format -t AAAAAAAAAAAAAAAAAAAAAA -c /tmp/bare.properties
exec /opt/kafka/bin/kafka-server-start.sh /tmp/bare.properties
"""
_POSTGRES = f"""\
initdb -D /tmp/bare-postgres --username=postgres --auth=trust --encoding=UTF8 --locale=C
exec postgres -D /tmp/bare-postgres -p {POSTGRES_PORT} -c unix_socket_directories=/tmp
"""


def unpack(recipe: Recipe, folder: Path) -> Path:
    """The root file system of a compatible image."""
    root = folder / recipe.name
    root.mkdir()
    with tarfile.open(image_builder.archive(recipe, Deadline(900), print)) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        for layer in json.load(member)[0]["Layers"]:
            content = archive.extractfile(layer)
            with tarfile.open(fileobj=content) as tar:
                tar.extractall(root, filter="fully_trusted")
    (root / "dev").mkdir(exist_ok=True)
    return root


def config(recipe: Recipe) -> list[str]:
    """The environment that the image sets."""
    with tarfile.open(image_builder.archive(recipe, Deadline(900), print)) as archive:
        member = archive.extractfile("manifest.json")
        assert member is not None
        content = archive.extractfile(json.load(member)[0]["Config"])
        assert content is not None
        environment: list[str] = json.load(content)["config"]["Env"]
        return environment


def inside(root: Path, user: int, environment: list[str], *command: str) -> list[str]:
    """A command in a chroot, with mounts and processes of its own."""
    mounts = f"mount --bind /dev {root}/dev && mount -t proc proc {root}/proc"
    # The shell stays: the signal that ends it with its parent is lost on a change of user.
    run = f'chroot --userspec={user}:{user} {root} env -i "$@"; exit'
    namespaces = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
    return [*namespaces, "sh", "-c", f"{mounts} && {run}", "sh", *environment, *command]


@contextlib.contextmanager
def started(
    root: Path, user: int, environment: list[str], script: str, port: int
) -> Iterator[None]:
    """A script in a chroot, with everything it starts ended afterwards and /tmp emptied."""
    shutil.rmtree(root / "tmp", ignore_errors=True)
    (root / "tmp").mkdir(mode=0o1777)
    (root / "tmp").chmod(0o1777)
    process = subprocess.Popen(
        inside(root, user, environment, "bash", "-c", script),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.kill()
        process.wait()
        # The namespace's processes end after its first one; the port is free when all have.
        until_done(lambda: _refused(port))


def _refused(port: int) -> None:
    with socket.socket() as connection:
        assert connection.connect_ex(("localhost", port)) != 0


def _accepted(port: int) -> None:
    """Costs next to nothing while the server starts, unlike a client that tries again."""
    socket.create_connection(("localhost", port), 1).close()


def kafka_round_trip() -> None:
    _accepted(KAFKA_PORT)
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    options = {"bootstrap_servers": f"localhost:{KAFKA_PORT}", "bootstrap_timeout_ms": 500}
    admin = kafka.KafkaAdminClient(**options)
    topic, payload = f"bare-{secrets.token_hex(4)}", secrets.token_bytes(64)
    admin.create_topics({topic: {"num_partitions": 1}})
    producer = kafka.KafkaProducer(**options, acks="all")
    producer.send(topic, payload).get(10)
    consumer = kafka.KafkaConsumer(**options)
    partition = kafka.TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek(partition, 0)
    records = consumer.poll(10_000)
    assert records[partition][0].value == payload
    for client in (consumer, producer, admin):
        client.close()


def postgres_round_trip() -> None:
    _accepted(POSTGRES_PORT)
    with pg8000.native.Connection("postgres", host="localhost", port=POSTGRES_PORT) as session:
        session.run("create table bare (payload text)")
        session.run("insert into bare values ('x')")
        assert session.run("select payload from bare") == [["x"]]
        session.run("drop table bare")


def until_done(attempt: Callable[[], object], limit: float = 60) -> float:
    """Seconds until an attempt succeeds."""
    began = time.monotonic()
    while True:
        try:
            attempt()
            return time.monotonic() - began
        except Exception:
            if time.monotonic() - began > limit:
                raise
            time.sleep(0.02)


class Floor:
    """Both bare services, ready to be started again and again."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="learnflow-bench-"))
        self._places = [
            (unpack(recipe, self._folder), user, config(recipe), script, port)
            for recipe, user, script, port in (
                (kafka_image.RECIPE, 1000, _KAFKA, KAFKA_PORT),
                (postgres_image.RECIPE, 999, _POSTGRES, POSTGRES_PORT),
            )
        ]

    def seconds(self) -> tuple[float, float]:
        """Until the first round trip of Kafka and of PostgreSQL, started at once."""
        with self.running() as seconds:
            return seconds

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[float, float]]:
        """Both, until the end of the block; how long each took to its first round trip."""
        with contextlib.ExitStack() as running, ThreadPoolExecutor(2) as pool:
            for place in self._places:
                running.enter_context(started(*place))
            kafka = pool.submit(until_done, kafka_round_trip)
            postgres = pool.submit(until_done, postgres_round_trip)
            yield kafka.result(), postgres.result()

    def shells(self) -> tuple[Shell, Shell]:
        """What runs a script in Kafka's and in PostgreSQL's image, beside the running servers."""

        def shell(root: Path, user: int, environment: list[str], *_: object) -> Shell:
            return lambda script: output(inside(root, user, environment, "bash", "-s"), script)

        kafka, postgres = (shell(*place) for place in self._places)
        return kafka, postgres

    def remove(self) -> None:
        shutil.rmtree(self._folder)


if __name__ == "__main__":
    assert os.geteuid() == 0, "a chroot needs root"
    floor = Floor()
    try:
        print(*floor.seconds())
    finally:
        floor.remove()
