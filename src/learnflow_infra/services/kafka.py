"""Apache Kafka in KRaft mode: one or three combined brokers and controllers."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager

from learnflow_infra import manifests
from learnflow_infra.services import Access, Object
from learnflow_infra.services.kafka_client import Client, connected, minimum_in_sync
from learnflow_infra.settings import Settings, mebibytes
from learnflow_infra.tunnel import Route

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
        in_sync = minimum_in_sync(brokers)
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
            # By default 128 MiB of the heap, taken at the start however few keys there are.
            "log.cleaner.dedupe.buffer.size": _heap(settings) * 2**20 // 8,
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _container(self, settings: Settings) -> Object:
        kafka = settings.kafka
        heap = _heap(settings)
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
        cluster_id = _random_id()
        values = {"cluster-id": cluster_id, **self.fixed(settings)}
        return manifests.secret(settings, "kafka", "kafka-credentials", values, data=True)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        # The controllers' quorum is written into every volume: a new member without the log could
        # win an election and lose it.
        return {"brokers": str(settings.kafka.brokers)}

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        host = f"kafka.{settings.cluster.namespace}.svc"
        bootstrap = f"{host}:{CLIENT_PORT}"
        connection = manifests.secret(
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
        return [connection]

    def client_hint(self, settings: Settings) -> Mapping[str, str]:
        servers = ",".join(f"localhost:{port}" for port in self.host_ports(settings))
        return {"bootstrap.servers": servers, "security.protocol": "PLAINTEXT"}

    # ---- inside the running service

    def load_client(self) -> None:
        import kafka  # noqa: F401

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Create the declared topics that are missing. Existing ones are never changed."""
        with self._client(access, route) as client:
            missing = client.create_missing(access.settings.kafka.topics)
        return [f"topic {name}" for name in missing]

    def prove(self, access: Access, route: Route) -> None:
        """Create a topic, write a random payload with acks=all, read it back, remove the topic."""
        with self._client(access, route) as client:
            client.round_trip()

    def _client(self, access: Access, route: Route) -> AbstractContextManager[Client]:
        if route.name == "host":
            addresses = [f"localhost:{port}" for port in self.host_ports(access.settings)]
            return connected(access, route, addresses, set(addresses))
        domain = f"kafka-brokers.{access.settings.cluster.namespace}.svc"
        advertised = {f"{pod}.{domain}:{CLIENT_PORT}" for pod in self.pods(access.settings)}
        return connected(access, route, [access.connection["bootstrap.servers"]], advertised)


def _heap(settings: Settings) -> int:
    """The JVM's heap in MiB; the rest is its own, and the page cache."""
    return mebibytes(settings.kafka.memory) // 3


def _random_id() -> str:
    """A cluster id in Kafka's own form: 16 random bytes in URL-safe base64 without padding, and, as
    `kafka-storage.sh random-uuid` gives it, without a dash in front, which would be an option."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text
