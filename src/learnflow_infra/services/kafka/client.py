"""kafka-python's clients of one user on one route, and what their errors mean."""

from __future__ import annotations

import contextlib
import logging
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.kubernetes.proxy import Proxy
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services import ANSWER_SECONDS, Access, password_key
from learnflow_infra.services.kafka.config import SCRAM, protocol
from learnflow_infra.services.kafka.errors import explained, unusable
from learnflow_infra.services.kafka.network import PROXY_SCHEME, network, tls_socket
from learnflow_infra.services.shared import tls
from learnflow_infra.services.shared.unreachable import label, unreachable

# A broker that refuses so long does not heal by itself within one proof.
_BOOTSTRAP_SECONDS = 3.0
# A broker that has just started, or has just heard of a user, may refuse that user for a moment.
_SETTLING_SECONDS = 2.0
_POLL_SECONDS = 0.05
# The last in which a request names topics rather than their ids.
_PRODUCE_VERSION = 9
_CONNECT, CREATE = "connecting", "creating a topic"


@dataclass(frozen=True)
class Login:
    """Who logs in."""

    user: str
    password: str
    mechanism: str = SCRAM


class Certificate(NamedTuple):
    """What a server presented: all of it, and, where it was checked, what it says."""

    encoded: bytes
    fields: Mapping[str, Any]


def application(access: Access) -> Login:
    """The application's user, by its Secret. Raises Failure(connection-missing)."""
    return Login(bound(access, "username"), bound(access, "password"))


def bound(access: Access, key: str) -> str:
    """A value of the application's Secret. Raises Failure(connection-missing)."""
    return _value(access.connection, key, "connection")


def known(access: Access, user: str, mechanism: str = SCRAM) -> Login:
    """A user, by the credentials. Raises Failure(credentials-missing)."""
    password = _value(access.secrets.credentials, password_key(user), "credentials")
    return Login(user, password, mechanism)


def _value(values: Mapping[str, str], key: str, what: str) -> str:
    if not (found := values.get(key)):
        message = f"the Secret kafka-{what} has no {key}"
        raise Failure(finding(f"{what}-missing", message, service="kafka"))
    return found


@contextlib.contextmanager
def connected(
    access: Access, route: Route, addresses: Sequence[str], login: Login, *, checked: bool = True
) -> Iterator[Client]:
    """A client that bootstraps from `addresses`, and checks servers as a strict one does unless
    told otherwise. Raises Failure for the library's errors."""
    # The library logs what it also raises; the report is the one place that speaks.
    logging.getLogger("kafka").setLevel(logging.CRITICAL + 1)
    context = _context(access, checked)
    with (
        Proxy(route) as proxy,
        Client(access, route, proxy, addresses, login, context) as client,
        client.doing(_CONNECT),
    ):
        yield client


def admits(access: Access, route: Route, address: str, login: Login) -> bool:
    """Whether the broker at an address takes a login."""
    from kafka.errors import SaslAuthenticationFailedError

    with connected(access, route, [address], login) as client:
        try:
            client.admin()
        except SaslAuthenticationFailedError:
            return False
        return True


class Client:
    """kafka-python's clients on one route, closed together."""

    def __init__(
        self,
        access: Access,
        route: Route,
        proxy: Proxy,
        addresses: Sequence[str],
        login: Login,
        context: ssl.SSLContext | None,
    ) -> None:
        self.proxy = proxy
        self._route = route
        self._login = login
        self._addresses = list(addresses)
        self._deadline = access.deadline
        self._admin: Any = None
        self._manager: Any = None
        self._shared: Any = None
        self._failures: list[Exception] = []
        self.certificates: dict[str, Certificate] = {}
        if context:
            context.sslsocket_class = tls_socket(self._keep_certificate)
        # Half: a request that is not answered leaves time to clean up.
        self.limit = self._deadline.remaining() / 2
        self._config: dict[str, Any] = {
            "bootstrap_servers": self._addresses,
            "proxy_url": proxy.url.replace("http", PROXY_SCHEME, 1),
            "security_protocol": protocol(access.settings),
            "ssl_context": context,
            "sasl_mechanism": login.mechanism,
            "sasl_plain_username": login.user,
            "sasl_plain_password": login.password,
            "request_timeout_ms": int(self.limit * 1000),
            "bootstrap_timeout_ms": int(min(self.limit, _BOOTSTRAP_SECONDS) * 1000),
            # A new topic takes a moment to reach every broker; the default waits 100 ms each time.
            "retry_backoff_ms": 10,
            "metric_reporters": [],
        }
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self._open.close()

    def _keep_certificate(self, session: ssl.SSLSocket) -> None:
        encoded = session.getpeercert(binary_form=True)
        self.certificates[str(session.server_hostname)] = Certificate(
            encoded or b"", session.getpeercert() or {}
        )

    @contextlib.contextmanager
    def doing(self, step: str) -> Iterator[None]:
        """What is done meanwhile. Raises Failure for the library's errors, which names it."""
        from kafka.errors import KafkaError

        try:
            yield
        except (KafkaError, RuntimeError, ValueError, AssertionError) as error:
            raise Failure(self._judge(error, step)) from error

    def _judge(self, error: Exception, step: str) -> Finding:
        """What an error of the library means, here and at this step."""
        if refused := [each for each in self.proxy.refusals if each not in self.proxy.reached]:
            address, reason = refused[0], self.proxy.refusals[refused[0]]
            if isinstance(reason, Failure):  # the API's, on the way there
                return reason.findings[0]
            if address in self._addresses:
                return unreachable("kafka", self._route, address, str(reason))
            return unusable(self._route, address, str(reason))
        where = f"{label(self._route)}, user {self._login.user}, {step}"
        slow = type(error).__name__ == "KafkaTimeoutError"
        if slow and step == _CONNECT and self._failures:
            error = self._failures[-1]  # what it tried again and again
        found = tls.refused(error, where, "kafka")
        return found or explained(error, where, step == CREATE)

    def admin(self) -> Any:
        self._admin, self._shared, self._manager = self._bootstrapped()
        self._open.callback(self._admin.close)
        return self._admin

    @property
    def cluster_id(self) -> str:
        """That of the cluster which the administration's connections lead to."""
        return str(self._manager.cluster.cluster_id)

    def brokers(self) -> set[str]:
        """The addresses that the brokers which take part hand out on this route."""
        return {f"{each.host}:{each.port}" for each in self._manager.cluster.brokers()}

    def ask_each_broker(self, request: Any) -> list[Any]:
        """Each broker's own answer to an administrator's request."""
        manager = self._manager
        return [
            manager.run(manager.send, request, broker.node_id)
            for broker in manager.cluster.brokers()
        ]

    def write(self, topic: str, value: bytes) -> None:
        """Write a record to a topic of one partition, acknowledged by all replicas in sync, on the
        administration's connections; tried again for as long as the brokers say that it may help.
        """
        from kafka.errors import KafkaError, for_code
        from kafka.protocol.producer import ProduceRequest

        of_topic = ProduceRequest.TopicProduceData
        partition = of_topic.PartitionProduceData(index=0, records=_batch(value))
        request = ProduceRequest(
            transactional_id=None,
            acks=-1,
            timeout_ms=self._config["request_timeout_ms"],
            topic_data=[of_topic(name=topic, partition_data=[partition])],
            max_version=_PRODUCE_VERSION,
        )
        limit = self._deadline.within(self.limit)
        while True:
            try:
                answer = self._manager.run(self._manager.send, request, self._leader(topic))
                code = answer.responses[0].partition_responses[0].error_code
                if not code:
                    return
                raise for_code(code)
            except KafkaError as error:
                if not error.retriable or limit.passed():
                    raise
                time.sleep(_POLL_SECONDS)

    def _leader(self, topic: str) -> int:
        """The id of the broker that leads a topic of one partition."""
        from kafka.errors import LeaderNotAvailableError

        (found,) = self._admin.describe_topics([topic])
        leaders = [int(each["leader_id"]) for each in found["partitions"]]
        if not leaders or leaders[0] < 0:
            raise LeaderNotAvailableError
        return leaders[0]

    def read(self, topic: str) -> list[bytes]:
        """The first records of a topic of one partition, on the administration's connections."""
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(
            **self._config, kafka_client=lambda **_: self._shared, metrics_enabled=False
        )
        partition = TopicPartition(topic, 0)
        consumer.assign([partition])
        consumer.seek(partition, 0)
        records = consumer.poll(timeout_ms=int(self._deadline.remaining() * 1000))
        return [record.value for each in records.values() for record in each]

    def _bootstrapped(self) -> tuple[Any, Any, Any]:
        """An administrator's client, its connections and their manager; waited for as long as
        nothing was refused, and for a moment where the login was."""
        from kafka import KafkaAdminClient
        from kafka.errors import KafkaTimeoutError, SaslAuthenticationFailedError

        made: list[tuple[Any, Any]] = []
        limit = self._deadline.within(ANSWER_SECONDS)
        settling = self._deadline.within(_SETTLING_SECONDS)

        def connections(**config: Any) -> Any:
            made.append(network(self._failures.append, **config))
            return made[-1][0]

        while True:
            try:
                client = KafkaAdminClient(**self._config, kafka_client=connections)
                return client, *made[-1]
            except BaseException as error:
                made[-1][0].close()
                if isinstance(error, SaslAuthenticationFailedError) and not settling.passed():
                    time.sleep(_POLL_SECONDS)
                    continue
                slow = isinstance(error, KafkaTimeoutError)
                if not slow or self.proxy.refusals or limit.passed():
                    raise


def _context(access: Access, checked: bool) -> ssl.SSLContext | None:
    if not access.settings.security.encryption:
        return None
    return tls.strict(access.connection.get("ca.crt", ""), "kafka") if checked else tls.lax()


def _batch(value: bytes) -> bytes:
    """A batch of one record without a key, as brokers store it."""
    from kafka.record import MemoryRecordsBuilder

    builder = MemoryRecordsBuilder(magic=2, compression_type=0, batch_size=len(value) + 128)
    builder.append(timestamp=int(time.time() * 1000), key=None, value=value)
    builder.close()
    return bytes(builder.buffer())
