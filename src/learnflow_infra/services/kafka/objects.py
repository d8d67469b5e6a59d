"""Kafka's objects: a StatefulSet of combined brokers and controllers, and what it needs."""

from __future__ import annotations

from collections.abc import Sequence

from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.services import password_key
from learnflow_infra.services.kafka import config
from learnflow_infra.services.kafka.config import (
    BROKER_PORT,
    CERTIFICATE_FOLDER,
    CLIENT_PORT,
    CONTROLLER_PORT,
    CREDENTIALS_FOLDER,
    HOST_PORT,
    JVM_FILE,
)
from learnflow_infra.services.kafka.settings import NODE, KafkaSettings
from learnflow_infra.services.shared import authority
from learnflow_infra.settings import Settings

_USER = 1000
# The node's own settings are added to the shared ones by its ordinal. Formatting is done once a
# volume; meta.properties is written last, so that a broken-off format is done again. Of what
# kafka-storage.sh writes, all but the ids is the same for every volume: an image that brings it
# saves a JVM's start.
_START = """\
set -e
%(writable)sid=${HOSTNAME##*-}
{
  cat /etc/kafka-shared/server.properties
  echo "node.id=$id"
  echo "advertised.listeners=%(advertised)s"
} > /run/kafka/server.properties
log=/var/lib/kafka/data/log
if [ ! -f $log/meta.properties ] && [ -f /opt/kafka/bootstrap.checkpoint ]; then
  mkdir -p $log
  cp /opt/kafka/bootstrap.checkpoint $log/
  directory=$(head -c 16 /dev/urandom | base64 | tr +/ -_ | tr -d =)
  printf 'version=1\\ncluster.id=%%s\\nnode.id=%%s\\ndirectory.id=%%s\\n' \\
    "$CLUSTER_ID" "$id" "$directory" > $log/meta.properties.new
  sync $log
  mv $log/meta.properties.new $log/meta.properties
elif [ ! -f $log/meta.properties ]; then
  KAFKA_JVM_PERFORMANCE_OPTS="$JVM -XX:SharedArchiveFile=/opt/kafka/storage.jsa" \\
    /opt/kafka/bin/kafka-storage.sh format -t "$CLUSTER_ID" -c /run/kafka/server.properties
fi
export KAFKA_JVM_PERFORMANCE_OPTS="$JVM -XX:SharedArchiveFile=/opt/kafka/kafka.jsa"
exec /opt/kafka/bin/kafka-server-start.sh /run/kafka/server.properties
"""

_JVM = (
    "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 "
    f"-Djava.security.properties=/etc/kafka-shared/{JVM_FILE}"
)


def objects(settings: Settings, pods: Sequence[str]) -> list[Object]:
    """Everything but Secrets, in the order to apply."""
    files = config.files(settings, pods)
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": manifests.metadata(settings, "kafka", "kafka-config"),
            "data": files,
        },
        manifests.network_policy(
            settings,
            "kafka",
            clients=[CLIENT_PORT],
            peers=[CLIENT_PORT, BROKER_PORT, CONTROLLER_PORT],
        ),
        manifests.service(settings, "kafka", "kafka", {"client": CLIENT_PORT}),
        manifests.service(
            settings,
            "kafka-brokers",
            "kafka",
            {"client": CLIENT_PORT, "broker": BROKER_PORT, "controller": CONTROLLER_PORT},
            headless=True,
        ),
        manifests.stateful_set(
            settings,
            "kafka",
            governing_service="kafka-brokers",
            replicas=settings.of(KafkaSettings).brokers,
            user=_USER,
            container=_container(settings),
            volumes=[
                {"name": "config", "configMap": {"name": "kafka-config"}},
                *_secret_volumes(settings),
                {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}},
                {"name": "tmp", "emptyDir": {}},
            ],
            volume_size=settings.of(KafkaSettings).volume,
            storage_class=settings.of(KafkaSettings).storage_class,
            configuration=files,
        ),
        manifests.client(
            settings,
            "kafka",
            image=settings.of(KafkaSettings).image,
            user=_USER,
            memory="512Mi",
            # The tools' log goes where they may write.
            environment={"LOG_DIR": "/tmp"},
        ),
    ]


def _secret_volumes(settings: Settings) -> list[Object]:
    """What a node needs of the Secrets: its own password, and its certificate."""
    password = {"key": password_key(NODE), "path": "password"}
    mounted: Object = {"secretName": "kafka-credentials", "items": [password]}
    volumes = [{"name": "node", "secret": mounted | {"defaultMode": 0o440}}]
    if settings.security.encryption:
        volumes.append(authority.volume("kafka"))
    return volumes


def _container(settings: Settings) -> Object:
    kafka = settings.of(KafkaSettings)
    heap = config.heap(settings)
    start = _START % {
        "writable": manifests.require_writable("/var/lib/kafka/data", "/var/lib/kafka/data/log"),
        "advertised": config.advertised(settings),
    }
    tls = {"name": "tls", "mountPath": CERTIFICATE_FOLDER, "readOnly": True}
    return {
        "image": kafka.image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["bash", "-c", start],
        "env": [
            {"name": "BROKERS", "value": config.domain(settings)},
            {"name": "JVM", "value": _JVM},
            {"name": "KAFKA_HEAP_OPTS", "value": f"-Xms{heap}m -Xmx{heap}m"},
            {"name": "LOG_DIR", "value": "/tmp/logs"},
            # Anything but empty keeps the start script from turning JMX's agent on.
            {"name": "KAFKA_JMX_OPTS", "value": " "},
            # Without this the start script turns on a garbage collection log file.
            {"name": "EXTRA_ARGS", "value": "-name kafkaServer"},
            {
                "name": "CLUSTER_ID",
                "valueFrom": {"secretKeyRef": {"name": "kafka-credentials", "key": "cluster-id"}},
            },
        ],
        "ports": [
            {"name": "client", "containerPort": CLIENT_PORT},
            {"name": "broker", "containerPort": BROKER_PORT},
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
            {"name": "node", "mountPath": CREDENTIALS_FOLDER, "readOnly": True},
            *([tls] if settings.security.encryption else []),
            {"name": "run", "mountPath": "/run/kafka"},
            {"name": "tmp", "mountPath": "/tmp"},
        ],
        **manifests.probes(manifests.port_open(CLIENT_PORT)),
    }
