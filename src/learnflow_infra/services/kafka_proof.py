"""Kafka's round trip as an application makes it, and the state of its brokers and partitions."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from learnflow_infra.failures import Failure, finding
from learnflow_infra.services import Access, tls
from learnflow_infra.services.kafka_client import CREATE, Client, application, connected, known
from learnflow_infra.services.kafka_config import minimum_in_sync
from learnflow_infra.services.kafka_errors import sick_partitions, unusable
from learnflow_infra.services.unreachable import place
from learnflow_infra.settings import KAFKA_ADMIN
from learnflow_infra.tunnel import DialError, Route


def prove(access: Access, route: Route, addresses: Sequence[str], advertised: set[str]) -> None:
    """A round trip of data as the application's user, which `addresses` lead to brokers that call
    themselves as `advertised`; from the host, the whole cluster as the administrator sees it."""
    with ThreadPoolExecutor(1) as pool:
        overseen = None
        if route.name == "host":  # once is enough
            overseen = pool.submit(_oversee, access, route, addresses)
        with connected(access, route, addresses, application(access)) as client:
            _round_trip(access, route, client, advertised)
            for host, certificate in client.certificates.items():
                where = f"{place(route)}, {host}"
                tls.require_lasting(certificate.fields, where, "kafka")
        if overseen:
            overseen.result()


def _oversee(access: Access, route: Route, addresses: Sequence[str]) -> None:
    """The state of every partition, and the cluster's id."""
    with connected(access, route, addresses, known(access, KAFKA_ADMIN)) as client:
        admin = client.admin()
        _check_partitions(admin, access)
        _check_id(access, admin.describe_cluster()["cluster_id"])


def _round_trip(access: Access, route: Route, client: Client, advertised: set[str]) -> None:
    """Create a topic, write a random payload with acks=all, read it back, remove the topic."""
    prefix = access.settings.kafka.user_prefixes[0]
    topic = f"{prefix}probe-{secrets.token_hex(8)}"
    payload = secrets.token_bytes(64)
    with ThreadPoolExecutor(2) as pool:
        opening = pool.submit(client.producer)
        admin = client.admin()
        with _topic(client, admin, topic):
            health = pool.submit(_check_brokers, access, route, client, admin, advertised)
            producer = opening.result()
            # First: a writer that waits for its replicas only ever says that it waited.
            health.result()
            client.step = "writing a record"
            # The producer gives up first: it cannot be closed with a record under way.
            producer.send(topic, payload).get(client.limit + 1)
            client.step = "reading the record"
            values = client.read(topic)
    if values != [payload]:
        message = f"{place(route)}: read {len(values)} records, not the one written"
        raise Failure(finding("round-trip-failed", message, service="kafka"))


@contextlib.contextmanager
def _topic(client: Client, admin: Any, name: str) -> Iterator[None]:
    from kafka.errors import KafkaError

    client.step = CREATE
    admin.create_topics({name: {"num_partitions": 1}})
    try:
        yield
    except BaseException:
        with contextlib.suppress(KafkaError):  # what went wrong before says more
            admin.delete_topics([name])
        raise
    client.step = "deleting the topic"
    admin.delete_topics([name])


def _check_brokers(
    access: Access, route: Route, client: Client, admin: Any, advertised: set[str]
) -> None:
    """All brokers are there, at addresses that this route's clients can use, and the application's
    own partitions have their leaders and replicas."""
    found = client.brokers()
    expected = access.settings.kafka.brokers
    if len(found) < expected:
        message = f"{len(found)} of {expected} brokers take part in the cluster"
        raise Failure(finding("kafka-brokers-missing", message, service="kafka"))
    for address in sorted(found):
        if address not in advertised:
            raise Failure(unusable(route, address, "it is not the address that was set"))
        if address not in client.proxy.reached:
            host, _, port = address.rpartition(":")
            try:
                route.dial(host, int(port)).close()
            except DialError as error:
                raise Failure(unusable(route, address, str(error))) from error
    _check_partitions(admin, access)


def _check_partitions(admin: Any, access: Access) -> None:
    """The partitions that the user may see."""
    minimum = minimum_in_sync(access.settings.kafka.brokers)
    if sick := sick_partitions(admin.describe_topics(), minimum):
        raise Failure(sick)


def _check_id(access: Access, running: str) -> None:
    """Brokers keep the id of their volumes; one with a new volume would come with the Secret's,
    and be refused by the others."""
    given = access.secrets.credentials.get("cluster-id")
    if given != running:
        namespace, name = access.settings.cluster.namespace, "kafka-credentials"
        message = f"the volumes' cluster id is {running}, the one in Secret {name} is {given}"
        patch = f'{{"stringData":{{"cluster-id":"{running}"}}}}'
        remedy = f"Run `kubectl patch secret {name} -n {namespace} -p '{patch}'`."
        raise Failure(finding("kafka-cluster-id", message, service="kafka", remedy=remedy))
