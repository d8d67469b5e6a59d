"""What a node is told: its listeners, who may log in on which, its quorum and its defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from learnflow_infra.services.kafka.settings import ADMIN, NODE, KafkaSettings
from learnflow_infra.services.shared import properties
from learnflow_infra.settings import Settings, mebibytes

SCRAM, PLAIN = "SCRAM-SHA-512", "PLAIN"

BROKER_PORT = 9091
CLIENT_PORT = 9092
CONTROLLER_PORT = 9093
HOST_PORT = 9094

CREDENTIALS_FOLDER = "/etc/kafka-node"
CERTIFICATE_FOLDER = "/etc/kafka-tls"
ADMIN_FILE = "admin.properties"
JVM_FILE = "java.security"

# The listeners: the applications' two, and the nodes' own two.
_OUTER = ("CLIENT", "HOST")
_INNER = ("BROKER", "CONTROLLER")
PORTS = {
    "CLIENT": CLIENT_PORT,
    "HOST": HOST_PORT,
    "BROKER": BROKER_PORT,
    "CONTROLLER": CONTROLLER_PORT,
}

_FILES = {
    "ssl.keystore.location": f"{CERTIFICATE_FOLDER}/tls.pem",
    "ssl.truststore.location": f"{CERTIFICATE_FOLDER}/ca.crt",
}

# Those with forward secrecy and authenticated encryption; that with the least to compute first, as
# a young JVM computes them in Java.
_CIPHERS = [
    *("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"),
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
]

# Kafka reads the password itself, so that no file, argument or environment of ours holds it.
_PASSWORD = f"${{directory:{CREDENTIALS_FOLDER}:password}}"
_PROVIDER = {
    "config.providers": "directory",
    "config.providers.directory.class": "org.apache.kafka.common.config.provider."
    "DirectoryConfigProvider",
    "config.providers.directory.param.allowed.paths": CREDENTIALS_FOLDER,
}

# What the JDK's conf/security/java.security says otherwise.
_JVM = {
    # A node that is started again has another address, which the others would not look up for 30 s.
    "networkaddress.cache.ttl": 1,
    "networkaddress.cache.negative.ttl": 1,
    # Kafka turns each listener's PEM files into a key store in memory, where a password that it
    # makes up itself is stretched 10,000 times, half a second of a start.
    "keystore.pkcs12.keyPbeIterationCount": 1,
}

_MODULES = "org.apache.kafka.common.security"
_SCRAM_MODULE = f"{_MODULES}.scram.ScramLoginModule"
_LOGIN = f'{_MODULES}.plain.PlainLoginModule required username="{NODE}" password="{_PASSWORD}"'


def minimum_in_sync(brokers: int) -> int:
    """How many replicas must have a record before a writer with acks=all is told so."""
    return 2 if brokers > 1 else 1


def heap(settings: Settings) -> int:
    """The JVM's heap in MiB; the rest is its own, and the page cache."""
    return mebibytes(settings.of(KafkaSettings).memory) // 3


def protocol(settings: Settings) -> str:
    """The security protocol of every listener."""
    return "SASL_SSL" if settings.security.encryption else "SASL_PLAINTEXT"


def scram_login(user: str, password: str) -> str:
    """A client's `sasl.jaas.config`."""
    return f"{_SCRAM_MODULE} required username={_quoted(user)} password={_quoted(password)};"


def _quoted(text: str) -> str:
    """A value that stays one in JAAS's syntax, which Java's StreamTokenizer reads."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"}
    return '"' + "".join(escapes.get(each, each) for each in text) + '"'


def files(settings: Settings, pods: Sequence[str]) -> dict[str, str]:
    """The configuration files that all nodes share."""
    return {
        "server.properties": _lines(_server(settings, pods)),
        # For Kafka's commands run in a pod, with --command-config.
        ADMIN_FILE: _lines(_admin(settings)),
        JVM_FILE: _lines(_JVM),
    }


def domain(settings: Settings) -> str:
    """What the nodes' names end in: the headless Service's."""
    return f"kafka-brokers.{settings.cluster.namespace}.svc"


def host(settings: Settings) -> str:
    """The name of the Service by which clients find the brokers."""
    return f"kafka.{settings.cluster.namespace}.svc"


def bootstrap(settings: Settings) -> str:
    """Where clients begin."""
    return f"{host(settings)}:{CLIENT_PORT}"


def advertised(settings: Settings) -> str:
    """The addresses that a node hands out, for a shell that knows its id, HOSTNAME and BROKERS."""
    host = f"localhost:$(({settings.of(KafkaSettings).host_port} + id))"
    return (
        f"CLIENT://$HOSTNAME.$BROKERS:{CLIENT_PORT},HOST://{host},"
        f"BROKER://$HOSTNAME.$BROKERS:{BROKER_PORT}"
    )


def _server(settings: Settings, pods: Sequence[str]) -> dict[str, object]:
    brokers = settings.of(KafkaSettings).brokers
    voters = [f"{n}@{pod}.{domain(settings)}:{CONTROLLER_PORT}" for n, pod in enumerate(pods)]
    in_sync = minimum_in_sync(brokers)
    return {
        "process.roles": "broker,controller",
        "controller.quorum.voters": ",".join(voters),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "BROKER",
        "listeners": ",".join(f"{name}://:{port}" for name, port in PORTS.items()),
        **_security(settings),
        # For each listener: every one of them reads the certificate, and costs a start.
        "num.network.threads": 1,
        "log.dirs": "/var/lib/kafka/data/log",
        "default.replication.factor": brokers,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": brokers,
        "transaction.state.log.replication.factor": brokers,
        "transaction.state.log.min.isr": in_sync,
        "share.coordinator.state.topic.replication.factor": brokers,
        "share.coordinator.state.topic.min.isr": in_sync,
        "group.initial.rebalance.delay.ms": 0,
        # By default 25 ms more for each change of a topic, an ACL or a user.
        "controller.quorum.append.linger.ms": 1,
        # By default 128 MiB of the heap, taken at the start however few keys there are.
        "log.cleaner.dedupe.buffer.size": heap(settings) * 2**20 // 8,
        **dict(settings.of(KafkaSettings).config),
    }


def _security(settings: Settings) -> dict[str, object]:
    values: dict[str, object] = {
        "listener.security.protocol.map": ",".join(
            f"{name}:{protocol(settings)}" for name in PORTS
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "false",
        "super.users": f"User:{NODE};User:{ADMIN}",
        "sasl.mechanism.inter.broker.protocol": PLAIN,
        "sasl.mechanism.controller.protocol": PLAIN,
        **_PROVIDER,
    }
    for name in _OUTER:
        prefix = f"listener.name.{name.lower()}"
        values[f"{prefix}.sasl.enabled.mechanisms"] = SCRAM
        values[f"{prefix}.{SCRAM.lower()}.sasl.jaas.config"] = f"{_SCRAM_MODULE} required;"
    for name in _INNER:
        prefix = f"listener.name.{name.lower()}"
        values[f"{prefix}.sasl.enabled.mechanisms"] = PLAIN
        # Who logs in elsewhere, and who may log in here.
        values[f"{prefix}.plain.sasl.jaas.config"] = f'{_LOGIN} user_{NODE}="{_PASSWORD}";'
    if settings.security.encryption:
        values |= {"ssl.keystore.type": "PEM", "ssl.truststore.type": "PEM", **_FILES}
        values["ssl.cipher.suites"] = ",".join(_CIPHERS)
        # A renewed certificate may come with other names.
        values |= {"ssl.allow.san.changes": "true", "ssl.allow.dn.changes": "true"}
    return values


def reloading() -> dict[str, str]:
    """The settings of a running broker that, written again, let it read its certificate again."""
    key = "ssl.keystore.location"
    return {f"listener.name.{name.lower()}.{key}": _FILES[key] for name in PORTS}


def _admin(settings: Settings) -> dict[str, object]:
    place = "ssl.truststore.location"
    trust = {"ssl.truststore.type": "PEM", place: _FILES[place]}
    return {
        "security.protocol": protocol(settings),
        "sasl.mechanism": PLAIN,
        "sasl.jaas.config": f"{_LOGIN};",
        **_PROVIDER,
        **(trust if settings.security.encryption else {}),
    }


def client_properties(connection: Mapping[str, str]) -> str:
    """A client's properties file, as Kafka's own tools and Java clients read it."""
    keys = ("bootstrap.servers", "security.protocol", "sasl.mechanism", "sasl.jaas.config")
    values = {key: connection[key] for key in keys}
    if authority := connection.get("ca.crt"):
        values |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": authority}
    return properties.lines(values)


def _lines(values: Mapping[str, object]) -> str:
    return "".join(f"{key}={value}\n" for key, value in values.items())
