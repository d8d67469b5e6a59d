"""Apache Kafka in KRaft mode: one or three combined brokers and controllers."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.routes import FromHost, Route
from learnflow_infra.services import Access, Form, password_key
from learnflow_infra.services.kafka import config, forms, objects, proof, users
from learnflow_infra.services.kafka.causes import CAUSES
from learnflow_infra.services.kafka.client import application, bound, connected
from learnflow_infra.services.kafka.config import (
    BROKER_PORT,
    CLIENT_PORT,
    HOST_PORT,
    SCRAM,
)
from learnflow_infra.services.kafka.image import RECIPE
from learnflow_infra.services.kafka.settings import ADMIN, NODE, KafkaSettings
from learnflow_infra.services.shared import passwords
from learnflow_infra.settings import Settings


class Kafka:
    name = "kafka"
    settings = KafkaSettings
    recipe = RECIPE
    causes = CAUSES
    skill = Path(__file__).with_name("skill")
    keeps = ("topic",)
    read_at_start = (password_key(NODE),)

    def proof_connections(self, settings: Settings) -> int:
        # A bootstrap, and each broker's own address.
        return 1 + settings.of(KafkaSettings).brokers

    def pods(self, settings: Settings) -> Sequence[str]:
        return [f"kafka-{n}" for n in range(settings.of(KafkaSettings).brokers)]

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        first = settings.of(KafkaSettings).host_port
        return {first + n: (pod, HOST_PORT) for n, pod in enumerate(self.pods(settings))}

    def objects(self, settings: Settings) -> list[Object]:
        return objects.objects(settings, self.pods(settings))

    def credentials(self, settings: Settings) -> Object:
        names = [
            NODE,
            ADMIN,
            *(user.name for user in users.users(settings.of(KafkaSettings))),
        ]
        values = {
            "cluster-id": _random_id(),
            **self.fixed(settings),
            **{password_key(name): secrets.token_urlsafe(24) for name in names},
        }
        return manifests.secret(settings, "kafka", "kafka-credentials", values, data=True)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        # The controllers' quorum is written into every volume: a new member without the log could
        # win an election and lose it.
        return {"brokers": str(settings.of(KafkaSettings).brokers)}

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        kafka = settings.of(KafkaSettings)
        if set('"\\') & set(credentials[password_key(NODE)]):
            # A node reads it into the midst of its own configuration.
            what = 'holds " or \\, which the nodes cannot read'
            raise passwords.unusable(settings, "kafka", password_key(NODE), what)
        others = {f"kafka-connection-{user.name}": user.name for user in kafka.users}
        named = {"kafka-connection": kafka.user, "kafka-admin": ADMIN, **others}
        return [
            self._connection(settings, secret, user, credentials[password_key(user)], authority)
            for secret, user in named.items()
        ]

    def _connection(
        self, settings: Settings, secret: str, user: str, password: str, authority: str
    ) -> Object:
        host, bootstrap = config.host(settings), config.bootstrap(settings)
        values = {
            "type": "kafka",
            "provider": "learnflow-infra",
            "host": host,
            "port": str(CLIENT_PORT),
            "uri": f"kafka://{bootstrap}",
            "bootstrap.servers": bootstrap,
            "bootstrap-servers": bootstrap,
            "security.protocol": config.protocol(settings),
            "sasl.mechanism": SCRAM,
            "sasl.jaas.config": config.scram_login(user, password),
            "username": user,
            "password": password,
        }
        if authority:
            values["ca.crt"] = authority
        values["client.properties"] = config.client_properties(values)
        kind = "servicebinding.io/kafka"
        return manifests.secret(settings, "kafka", secret, values, kind=kind)

    def forms(
        self, settings: Settings, connection: Mapping[str, str], authority: str, *, host: bool
    ) -> Mapping[str, Form]:
        on_host = {"bootstrap.servers": ",".join(self._localhost(settings))} if host else {}
        return forms.forms({**connection, **on_host}, authority)

    def declared(self, settings: Settings) -> Sequence[str]:
        kafka = settings.of(KafkaSettings)
        return [
            *(f"topic {each.name}" for each in kafka.topics),
            *(f"user {user.name}" for user in users.users(kafka)),
        ]

    def tools(self, settings: Settings) -> Mapping[str, Sequence[str]]:
        programs = {
            "topics": "kafka-topics",
            "produce": "kafka-console-producer",
            "consume": "kafka-console-consumer",
            "groups": "kafka-consumer-groups",
            "configs": "kafka-configs",
        }
        login = f"{manifests.CONNECTION_FOLDER}/client.properties"
        options = ["--bootstrap-server", config.bootstrap(settings), "--command-config", login]
        return {
            name: [f"/opt/kafka/bin/{program}.sh", *options] for name, program in programs.items()
        }

    def require_possible(self, kube: Kube, settings: Settings, deadline: Deadline) -> None:
        """Of what is declared Kafka itself is asked, when all of it is tried."""

    def client_hint(self, settings: Settings, authority: str) -> Mapping[str, str]:
        hint = {
            "bootstrap.servers": ",".join(self._localhost(settings)),
            "security.protocol": config.protocol(settings),
            "sasl.mechanism": SCRAM,
            "user": settings.of(KafkaSettings).user,
        }
        return hint | ({"ssl.ca.location": authority} if authority else {})

    # ---- inside the running service

    def load_client(self) -> None:
        import kafka  # noqa: F401

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Make the declared topics, users and ACLs so."""
        settings = access.settings
        pods = zip(self.pods(settings), self._nodes(settings, BROKER_PORT), strict=True)
        brokers = {address: pod for pod, address in pods}
        targets = {address: (pod, BROKER_PORT) for address, pod in brokers.items()}
        inner = FromHost(access.kube, settings.cluster.namespace, targets)
        return users.reconcile(access, inner, brokers)

    def log_in(self, access: Access, route: Route) -> None:
        addresses = self._localhost(access.settings)
        with connected(access, route, addresses, application(access)) as client:
            client.admin()

    def prove(self, access: Access, route: Route) -> None:
        """A round trip as the application's user, and the cluster as its administrator sees it."""
        settings = access.settings
        if route.name == "host":
            addresses = self._localhost(settings)
            proof.prove(access, route, addresses, set(addresses))
        else:
            bootstrap = [bound(access, "bootstrap.servers")]
            proof.prove(access, route, bootstrap, set(self._nodes(settings, CLIENT_PORT)))

    def _localhost(self, settings: Settings) -> list[str]:
        return [f"localhost:{port}" for port in self.host_ports(settings)]

    def _nodes(self, settings: Settings, port: int) -> list[str]:
        domain = config.domain(settings)
        return [f"{pod}.{domain}:{port}" for pod in self.pods(settings)]


def _random_id() -> str:
    """A cluster id in Kafka's own form: 16 random bytes in URL-safe base64 without padding, and, as
    `kafka-storage.sh random-uuid` gives it, without a dash in front, which would be an option."""
    while True:
        text = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        if not text.startswith("-"):
            return text
