"""Kafka's round trip as an application makes it, and the state of its brokers and partitions."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from learnflow_infra import apply
from learnflow_infra.failures import Failure, Finding, finding
from learnflow_infra.services import Access
from learnflow_infra.services.kafka_errors import explained, sick_partitions
from learnflow_infra.services.unreachable import place, unreachable
from learnflow_infra.settings import Topic
from learnflow_infra.tunnel import DialError, Proxy, Route

# A broker that refuses so long does not heal by itself within one proof.
_BOOTSTRAP_SECONDS = 3.0
_CREATE = "creating a topic"


def minimum_in_sync(brokers: int) -> int:
    """How many replicas must have a record before a writer with acks=all is told so."""
    return 2 if brokers > 1 else 1


@contextlib.contextmanager
def connected(
    access: Access, route: Route, addresses: Sequence[str], advertised: set[str]
) -> Iterator[Client]:
    """A client that bootstraps from `addresses`. Raises Failure for the library's errors."""
    from kafka.errors import KafkaError

    # The library logs what it also raises; the report is the one place that speaks.
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    with Proxy(route) as proxy, Client(access, route, proxy, addresses, advertised) as client:
        try:
            yield client
        except (KafkaError, RuntimeError) as error:
            raise Failure(client.judge(error)) from error


class Client:
    """kafka-python's clients on one route, closed together."""

    def __init__(
        self,
        access: Access,
        route: Route,
        proxy: Proxy,
        addresses: Sequence[str],
        advertised: set[str],
    ) -> None:
        self._access = access
        self._route = route
        self._proxy = proxy
        self._shared: Any = None
        self._addresses = list(addresses)
        self._advertised = advertised
        self._brokers = access.settings.kafka.brokers
        self._deadline = access.deadline
        self._step = "connecting"
        # Half: a request that is not answered leaves time to clean up.
        self._limit = self._deadline.remaining() / 2
        self._config: dict[str, Any] = {
            "bootstrap_servers": self._addresses,
            "proxy_url": proxy.url,
            "request_timeout_ms": int(self._limit * 1000),
            "bootstrap_timeout_ms": int(min(self._limit, _BOOTSTRAP_SECONDS) * 1000),
            # A new topic takes a moment to reach every broker; the default waits 100 ms each time.
            "retry_backoff_ms": 10,
            "metric_reporters": [],
        }
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def create_missing(self, topics: Sequence[Topic]) -> list[str]:
        """Create those that are not there; says which."""
        admin = self._admin()
        present = set(admin.list_topics())
        missing = {
            each.name: {"num_partitions": each.partitions}
            for each in topics
            if each.name not in present
        }
        if missing:
            self._step = _CREATE
            admin.create_topics(missing)
        return list(missing)

    def round_trip(self) -> None:
        """Create a topic, write a random payload with acks=all, read it back, remove the topic."""
        topic = f"learnflow-probe-{secrets.token_hex(8)}"
        payload = secrets.token_bytes(64)
        with ThreadPoolExecutor(2) as pool:
            opening = pool.submit(self._producer)
            admin = self._admin()
            with self._topic(admin, topic):
                health = pool.submit(self._check_health, admin)
                producer = opening.result()
                # First: a writer that waits for its replicas only ever says that it waited.
                health.result()
                self._step = "writing a record"
                # The producer gives up first: it cannot be closed with a record under way.
                producer.send(topic, payload).get(self._limit + 1)
                self._step = "reading the record"
                values = self._read(topic)
        if values != [payload]:
            message = f"{place(self._route)}: read {len(values)} records, not the one written"
            raise Failure(finding("round-trip-failed", message, service="kafka"))

    def judge(self, error: Exception) -> Finding:
        """What an error of the library means, here and at this step."""
        if refused := [each for each in self._proxy.refusals if each not in self._proxy.reached]:
            address, reason = refused[0], self._proxy.refusals[refused[0]]
            if address in self._addresses:
                return unreachable("kafka", self._route, address, reason)
            return self._unusable(address, reason)
        return explained(error, f"{place(self._route)}, {self._step}", self._step == _CREATE)

    def _admin(self) -> Any:
        from kafka import KafkaAdminClient

        admin = self._bootstrapped(
            lambda: KafkaAdminClient(**self._config, kafka_client=self._network)
        )
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

        producer = self._bootstrapped(
            lambda: KafkaProducer(
                **self._config,
                delivery_timeout_ms=self._config["request_timeout_ms"],
                acks="all",
                enable_idempotence=False,
                metrics_enabled=False,
            )
        )
        self._open.callback(producer.close, 0)
        return producer

    def _bootstrapped(self, make: Callable[[], Any]) -> Any:
        """A client, waited for as long as nothing was refused."""
        from kafka.errors import KafkaTimeoutError

        while True:
            try:
                return make()
            except KafkaTimeoutError:
                if self._proxy.refusals or self._deadline.passed():
                    raise

    @contextlib.contextmanager
    def _topic(self, admin: Any, name: str) -> Iterator[None]:
        from kafka.errors import KafkaError

        self._step = _CREATE
        admin.create_topics({name: {"num_partitions": 1}})
        try:
            yield
        except BaseException:
            with contextlib.suppress(KafkaError):  # what went wrong before says more
                admin.delete_topics([name])
            raise
        self._step = "deleting the topic"
        admin.delete_topics([name])

    def _read(self, topic: str) -> list[bytes]:
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(**self._config, kafka_client=self._network, metrics_enabled=False)
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        records = consumer.poll(timeout_ms=int(self._deadline.remaining() * 1000))
        return [record.value for each in records.values() for record in each]

    def _check_health(self, admin: Any) -> None:
        """All brokers are there, at addresses that this route's clients can use, under the id that
        was given, and every partition has its leader and replicas."""
        cluster = admin.describe_cluster()
        found = {
            f"{each['host']}:{each['port']}"
            for each in cluster["brokers"]
            if not each.get("is_fenced")
        }
        if len(found) < self._brokers:
            message = f"{len(found)} of {self._brokers} brokers take part in the cluster"
            raise Failure(finding("kafka-brokers-missing", message, service="kafka"))
        for address in sorted(found):
            if address not in self._advertised:
                raise Failure(self._unusable(address, "it is not the address that was set"))
            if address not in self._proxy.reached:
                host, _, port = address.rpartition(":")
                try:
                    self._route.dial(host, int(port)).close()
                except DialError as error:
                    raise Failure(self._unusable(address, str(error))) from error
        if sick := sick_partitions(admin.describe_topics(), minimum_in_sync(self._brokers)):
            raise Failure(sick)
        if self._route.name == "cluster":  # once is enough
            self._check_id(cluster["cluster_id"])

    def _check_id(self, running: str) -> None:
        """Brokers keep the id of their volumes; one with a new volume would come with the
        Secret's, and be refused by the others."""
        namespace, name = self._access.settings.cluster.namespace, "kafka-credentials"
        secret = self._access.kube.get("Secret", namespace, name)
        if secret is None:
            message = f"the Secret {name} is not there"
            raise Failure(finding("credentials-missing", message, service="kafka"))
        given = apply.decoded(secret).get("cluster-id")
        if given != running:
            message = f"the volumes' cluster id is {running}, the one in Secret {name} is {given}"
            patch = f'{{"stringData":{{"cluster-id":"{running}"}}}}'
            remedy = f"Run `kubectl patch secret {name} -n {namespace} -p '{patch}'`."
            raise Failure(finding("kafka-cluster-id", message, service="kafka", remedy=remedy))

    def _unusable(self, address: str, reason: str) -> Finding:
        message = f"{place(self._route)}: the advertised address {address} cannot be used: {reason}"
        return finding("kafka-advertised-address", message, service="kafka")
