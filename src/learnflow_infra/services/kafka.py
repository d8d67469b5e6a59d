"""Apache Kafka in KRaft mode: one or three combined brokers and controllers."""

from __future__ import annotations

import base64
import contextlib
import logging
import secrets
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from learnflow_infra import manifests
from learnflow_infra.failures import Failure, finding
from learnflow_infra.services import Access, Object
from learnflow_infra.settings import Settings, mebibytes
from learnflow_infra.tunnel import DialError, Proxy, Route

CLIENT_PORT = 9092
CONTROLLER_PORT = 9093
HOST_PORT = 9094

# The node's own settings are added to the shared ones by its ordinal. Formatting is done once a
# volume; Kafka writes meta.properties last, so that a broken-off format is done again.
_START = """\
set -e
id=${HOSTNAME##*-}
{
  cat /etc/kafka-shared/server.properties
  echo "node.id=$id"
  echo "advertised.listeners=CLIENT://$HOSTNAME.$BROKERS:%(client)d,\\
HOST://localhost:$((%(host)d + id))"
} > /run/kafka/server.properties
if [ ! -f /var/lib/kafka/data/log/meta.properties ]; then
  KAFKA_JVM_PERFORMANCE_OPTS="$JVM -XX:SharedArchiveFile=/opt/kafka/storage.jsa" \\
    /opt/kafka/bin/kafka-storage.sh format -t "$CLUSTER_ID" -c /run/kafka/server.properties
fi
export KAFKA_JVM_PERFORMANCE_OPTS="$JVM -XX:SharedArchiveFile=/opt/kafka/kafka.jsa"
exec /opt/kafka/bin/kafka-server-start.sh /run/kafka/server.properties
"""


class Kafka:
    name = "kafka"
    reconcile_first = False

    def proof_connections(self, settings: Settings) -> int:
        # Two bootstraps, each followed by a broker's own address, and the other brokers' addresses.
        return 3 + settings.kafka.brokers

    def image(self, settings: Settings) -> str:
        return settings.kafka.image

    def pods(self, settings: Settings) -> Sequence[str]:
        return [f"kafka-{n}" for n in range(settings.kafka.brokers)]

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        first = settings.kafka.host_port
        return {first + n: (pod, HOST_PORT) for n, pod in enumerate(self.pods(settings))}

    def objects(self, settings: Settings) -> list[Object]:
        return [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": manifests.metadata(settings, "kafka", "kafka-config"),
                "data": {"server.properties": self._properties(settings)},
            },
            manifests.service(settings, "kafka", "kafka", {"client": CLIENT_PORT}),
            manifests.service(
                settings,
                "kafka-brokers",
                "kafka",
                {"client": CLIENT_PORT, "controller": CONTROLLER_PORT},
                headless=True,
            ),
            manifests.stateful_set(
                settings,
                "kafka",
                governing_service="kafka-brokers",
                replicas=settings.kafka.brokers,
                user=1000,
                container=self._container(settings),
                volumes=[
                    {"name": "config", "configMap": {"name": "kafka-config"}},
                    {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}},
                    {"name": "tmp", "emptyDir": {"sizeLimit": "256Mi"}},
                ],
                volume_size=settings.kafka.volume,
                storage_class=settings.kafka.storage_class,
            ),
        ]

    def _properties(self, settings: Settings) -> str:
        brokers = settings.kafka.brokers
        domain = f"kafka-brokers.{settings.cluster.namespace}.svc"
        voters = ",".join(
            f"{n}@{pod}.{domain}:{CONTROLLER_PORT}" for n, pod in enumerate(self.pods(settings))
        )
        in_sync = 2 if brokers > 1 else 1
        values: dict[str, object] = {
            "process.roles": "broker,controller",
            "controller.quorum.voters": voters,
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "listeners": f"CLIENT://:{CLIENT_PORT},HOST://:{HOST_PORT},"
            f"CONTROLLER://:{CONTROLLER_PORT}",
            "listener.security.protocol.map": "CLIENT:PLAINTEXT,HOST:PLAINTEXT,"
            "CONTROLLER:PLAINTEXT",
            "log.dirs": "/var/lib/kafka/data/log",
            "default.replication.factor": brokers,
            "min.insync.replicas": in_sync,
            "offsets.topic.replication.factor": brokers,
            "transaction.state.log.replication.factor": brokers,
            "transaction.state.log.min.isr": in_sync,
            "share.coordinator.state.topic.replication.factor": brokers,
            "share.coordinator.state.topic.min.isr": in_sync,
            "group.initial.rebalance.delay.ms": 0,
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _container(self, settings: Settings) -> Object:
        kafka = settings.kafka
        heap = mebibytes(kafka.memory) // 3
        start = _START % {"client": CLIENT_PORT, "host": kafka.host_port}
        return {
            "image": kafka.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "-c", start],
            "env": [
                {"name": "BROKERS", "value": f"kafka-brokers.{settings.cluster.namespace}.svc"},
                {"name": "JVM", "value": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"},
                {"name": "KAFKA_HEAP_OPTS", "value": f"-Xms{heap}m -Xmx{heap}m"},
                {"name": "LOG_DIR", "value": "/tmp/logs"},
                # Anything but empty keeps the start script from turning JMX's agent on.
                {"name": "KAFKA_JMX_OPTS", "value": " "},
                # Without this the start script turns on a garbage collection log file.
                {"name": "EXTRA_ARGS", "value": "-name kafkaServer"},
                {
                    "name": "CLUSTER_ID",
                    "valueFrom": {
                        "secretKeyRef": {"name": "kafka-credentials", "key": "cluster-id"}
                    },
                },
            ],
            "ports": [
                {"name": "client", "containerPort": CLIENT_PORT},
                {"name": "controller", "containerPort": CONTROLLER_PORT},
                {"name": "host", "containerPort": HOST_PORT},
            ],
            "resources": {
                "requests": {"cpu": kafka.cpu, "memory": kafka.memory},
                "limits": {"memory": kafka.memory},
            },
            "volumeMounts": [
                {"name": "data", "mountPath": "/var/lib/kafka/data"},
                {"name": "config", "mountPath": "/etc/kafka-shared"},
                {"name": "run", "mountPath": "/run/kafka"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
            **manifests.startup(manifests.port_open(CLIENT_PORT)),
        }

    def credentials(self, settings: Settings) -> Object:
        # Kafka's own form of an id: 16 random bytes in URL-safe base64 without padding.
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        values = {"cluster-id": cluster_id, **self.fixed(settings)}
        return manifests.secret(settings, "kafka", "kafka-credentials", values, data=True)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        # The controllers' quorum is written into every volume: a new member without the log could
        # win an election and lose it.
        return {"brokers": str(settings.kafka.brokers)}

    def connection(self, settings: Settings, credentials: Mapping[str, str]) -> Object:
        host = f"kafka.{settings.cluster.namespace}.svc"
        bootstrap = f"{host}:{CLIENT_PORT}"
        return manifests.secret(
            settings,
            "kafka",
            "kafka-connection",
            {
                "type": "kafka",
                "provider": "learnflow-infra",
                "host": host,
                "port": str(CLIENT_PORT),
                "uri": f"kafka://{bootstrap}",
                "bootstrap.servers": bootstrap,
                "bootstrap-servers": bootstrap,
                "security.protocol": "PLAINTEXT",
            },
            kind="servicebinding.io/kafka",
        )

    def client_hint(self, settings: Settings) -> Mapping[str, str]:
        servers = ",".join(f"localhost:{port}" for port in self.host_ports(settings))
        return {"bootstrap.servers": servers, "security.protocol": "PLAINTEXT"}

    # ---- inside the running service

    def load_client(self) -> None:
        import kafka  # noqa: F401

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Create the declared topics that are missing. Existing ones are never changed."""
        with self._client(access, route) as client:
            admin = client.admin()
            present = set(admin.list_topics())
            missing = [each for each in access.settings.kafka.topics if each.name not in present]
            if missing:
                admin.create_topics(
                    {each.name: {"num_partitions": each.partitions} for each in missing}
                )
        return [f"topic {each.name}" for each in missing]

    def prove(self, access: Access, route: Route) -> None:
        """Create a topic, write a random payload with acks=all, read it back, remove the topic."""
        with self._client(access, route) as client:
            client.round_trip()

    @contextlib.contextmanager
    def _client(self, access: Access, route: Route) -> Iterator[_Client]:
        from kafka.errors import KafkaError

        # The library logs what it also raises; the report is the one place that speaks.
        logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
        if route.name == "host":
            addresses = [f"localhost:{port}" for port in self.host_ports(access.settings)]
            advertised = set(addresses)
        else:
            addresses = [access.connection["bootstrap.servers"]]
            domain = f"kafka-brokers.{access.settings.cluster.namespace}.svc"
            advertised = {f"{pod}.{domain}:{CLIENT_PORT}" for pod in self.pods(access.settings)}
        with Proxy(route) as proxy, _Client(access, route, proxy, addresses, advertised) as client:
            try:
                yield client
            except KafkaError as error:
                raise _failure(route, proxy, error) from error


def _failure(route: Route, proxy: Proxy, error: Exception) -> Failure:
    where = "in the cluster" if route.name == "cluster" else "from the host"
    if proxy.refusals:
        address, reason = next(iter(proxy.refusals.items()))
        return Failure(
            finding("service-unreachable", f"{where}, {address}: {reason}", service="kafka")
        )
    said = f"{type(error).__name__}: {error}"[:200]
    return Failure(finding("round-trip-failed", f"{where}: {said}", service="kafka"))


class _Client:
    """kafka-python's clients on one route, closed together."""

    def __init__(
        self,
        access: Access,
        route: Route,
        proxy: Proxy,
        addresses: Sequence[str],
        advertised: set[str],
    ) -> None:
        self._route = route
        self._proxy = proxy
        self._shared: Any = None
        self._advertised = advertised
        self._brokers = access.settings.kafka.brokers
        self._deadline = access.deadline
        limit = int(self._deadline.remaining() * 1000)
        self._config: dict[str, Any] = {
            "bootstrap_servers": list(addresses),
            "proxy_url": proxy.url,
            "request_timeout_ms": limit,
            "bootstrap_timeout_ms": limit,
            # A new topic takes a moment to reach every broker; the default waits 100 ms each time.
            "retry_backoff_ms": 10,
            "metric_reporters": [],
        }
        self._open = contextlib.ExitStack()

    def __enter__(self) -> _Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def admin(self) -> Any:
        from kafka import KafkaAdminClient

        admin = KafkaAdminClient(**self._config, kafka_client=self._network)
        self._open.callback(admin.close)
        return admin

    def _network(self, **config: Any) -> Any:
        """One set of connections for administration and consumer, which both run it in a thread
        of its own; a producer drives its connections itself and cannot share them."""
        from kafka.net.compat import KafkaNetClient

        if self._shared is None:
            self._shared = KafkaNetClient(**config)
        return self._shared

    def _producer(self) -> Any:
        from kafka import KafkaProducer

        producer = KafkaProducer(
            **self._config, acks="all", enable_idempotence=False, metrics_enabled=False
        )
        self._open.callback(producer.close, 0)
        return producer

    def round_trip(self) -> None:
        from kafka import KafkaConsumer, TopicPartition

        topic = f"learnflow-probe-{secrets.token_hex(8)}"
        payload = secrets.token_bytes(64)
        with ThreadPoolExecutor(2) as pool:
            opening = pool.submit(self._producer)
            admin = self.admin()
            admin.create_topics({topic: {"num_partitions": 1}})
            try:
                advertised = pool.submit(self._check_advertised, admin)
                opening.result().send(topic, payload).get(self._deadline.remaining())
                consumer = KafkaConsumer(
                    **self._config, kafka_client=self._network, metrics_enabled=False
                )
                partition = TopicPartition(topic, 0)
                consumer.assign([partition])
                consumer.seek(partition, 0)
                records = consumer.poll(timeout_ms=int(self._deadline.remaining() * 1000))
            finally:
                admin.delete_topics([topic])
            advertised.result()
        values = [record.value for each in records.values() for record in each]
        if values != [payload]:
            message = f"read back {len(values)} records that are not the one written"
            raise Failure(finding("round-trip-failed", message, service="kafka"))

    def _check_advertised(self, admin: Any) -> None:
        """Each address in the metadata must be one that this route's clients can use."""
        found = {f"{each['host']}:{each['port']}" for each in admin.describe_cluster()["brokers"]}
        if len(found) < self._brokers:
            raise Failure(
                finding(
                    "kafka-brokers-missing",
                    f"{len(found)} of {self._brokers} brokers are in the cluster's metadata",
                    service="kafka",
                )
            )
        for address in sorted(found):
            if address not in self._advertised:
                raise Failure(_unusable(address, "it is not the address that was set"))
            if address not in self._proxy.reached:
                host, _, port = address.rpartition(":")
                try:
                    self._route.dial(host, int(port)).close()
                except DialError as error:
                    raise Failure(_unusable(address, str(error))) from error


def _unusable(address: str, reason: str) -> Any:
    message = f"the advertised address {address} cannot be used: {reason}"
    return finding("kafka-advertised-address", message, service="kafka")
