"""Kafka's round trip as an application makes it, and the state of its brokers and partitions."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.routes import DialError, Route
from learnflow_infra.services import Access
from learnflow_infra.services.kafka.client import (
    CREATE,
    Client,
    admits,
    application,
    connected,
    known,
)
from learnflow_infra.services.kafka.config import minimum_in_sync
from learnflow_infra.services.kafka.errors import sick_partitions, unusable
from learnflow_infra.services.kafka.settings import ADMIN, PROBES, KafkaSettings
from learnflow_infra.services.kafka.users import Acl, acls, present_acls
from learnflow_infra.services.shared import probe_names, tls
from learnflow_infra.services.shared.unreachable import label

_SILENT_SECONDS = 4.0


def prove(access: Access, route: Route, addresses: Sequence[str], advertised: set[str]) -> None:
    """A round trip of data as the application's user, which `addresses` lead to brokers that call
    themselves as `advertised`; from the host, the whole cluster as the administrator sees it."""
    try:
        _prove(access, route, addresses, advertised)
    except Failure as failure:
        several = len(advertised) > 1 and not access.deadline.passed()
        if several and failure.findings[0].code in ("service-slow", "kafka-no-quorum"):
            _require_answers(access, route, sorted(advertised))
        raise


def _prove(access: Access, route: Route, addresses: Sequence[str], advertised: set[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        overseen = None
        if route.name == "host":  # once is enough
            overseen = pool.submit(_oversee, access, route, addresses)
        with connected(access, route, addresses, application(access)) as client:
            _round_trip(access, route, client, advertised)
            for host, certificate in client.certificates.items():
                where = f"{label(route)}, {host}"
                tls.require_unexpired(certificate.fields, where, "kafka")
        if overseen:
            overseen.result()


def _require_answers(access: Access, route: Route, brokers: Sequence[str]) -> None:
    """Raise Failure where some brokers take connections and answer nothing."""
    login = application(access)
    soon = replace(access, deadline=access.deadline.within(_SILENT_SECONDS))

    def answers(address: str) -> bool:
        try:
            admits(soon, route, address, login)
        except Failure:
            return False
        return True

    with ThreadPoolExecutor(len(brokers)) as pool:
        replies = zip(brokers, pool.map(answers, brokers), strict=True)
        silent = [address for address, answered in replies if not answered]
    if silent:
        message = f"{len(silent)} of {len(brokers)} brokers do not answer: {', '.join(silent)}"
        lost = 2 * len(silent) > len(brokers)
        code = "kafka-no-quorum" if lost else "kafka-brokers-missing"
        raise Failure(finding(code, message, service="kafka"))


def _oversee(access: Access, route: Route, addresses: Sequence[str]) -> None:
    """The state of every partition, the cluster's id, and what users may do."""
    with connected(access, route, addresses, known(access, ADMIN)) as client:
        admin = client.admin()
        _check_partitions(access, client, admin)
        with client.doing("looking at the ACLs"):
            _check_acls(access, *present_acls(client))
        _check_id(access, admin.describe_cluster()["cluster_id"])


def _round_trip(access: Access, route: Route, client: Client, advertised: set[str]) -> None:
    """Create a topic, write a random payload with acks=all, read it back, remove the topic."""
    topic = probe_names.name(PROBES)
    payload = secrets.token_bytes(64)
    admin = client.admin()
    with _topic(client, admin, topic):
        # First: a writer that waits for its replicas only ever says that it waited.
        topics = _check_brokers(access, route, client, admin, advertised)
        with client.doing("writing a record"):
            client.write(topic, payload)
        with client.doing("reading the record"):
            values = client.read(topic)
        # A broker that hung meanwhile had its leaders' places taken: only its absence shows it.
        with client.doing("counting the brokers"):
            brokers = admin.describe_cluster()["brokers"]
        _check_count(access, sum(not each["is_fenced"] for each in brokers))
    _remove(admin, probe_names.stale(PROBES, topics))
    if values != [payload]:
        message = f"{label(route)}: read {len(values)} records, not the one written"
        raise Failure(finding("round-trip-failed", message, service="kafka"))


def _remove(admin: Any, topics: Sequence[str]) -> None:
    from kafka.errors import KafkaError

    if topics:
        with contextlib.suppress(KafkaError):  # the other route's proof may have been first
            admin.delete_topics(topics)


@contextlib.contextmanager
def _topic(client: Client, admin: Any, name: str) -> Iterator[None]:
    with client.doing(CREATE):
        admin.create_topics({name: {"num_partitions": 1}})
    try:
        yield
    except BaseException:
        _remove(admin, [name])  # what went wrong before says more than what goes wrong here
        raise
    with client.doing("deleting the topic"):
        admin.delete_topics([name])


def _check_brokers(
    access: Access, route: Route, client: Client, admin: Any, advertised: set[str]
) -> list[str]:
    """All brokers are there, at addresses that this route's clients can use, and the application's
    own partitions have their leaders and replicas. The topics that were seen."""
    found = client.brokers()
    _check_count(access, len(found))
    for address in sorted(found):
        if address not in advertised:
            raise Failure(unusable(route, address, "it is not the address that was set"))
        if address not in client.proxy.reached:
            host, _, port = address.rpartition(":")
            try:
                route.dial(host, int(port)).close()
            except DialError as error:
                raise Failure(unusable(route, address, str(error))) from error
    return _check_partitions(access, client, admin)


def _check_count(access: Access, found: int) -> None:
    expected = access.settings.of(KafkaSettings).brokers
    if found < expected:
        message = f"{found} of {expected} brokers take part in the cluster"
        raise Failure(finding("kafka-brokers-missing", message, service="kafka"))


def _check_partitions(access: Access, client: Client, admin: Any) -> list[str]:
    """The partitions of the topics that the user may see, whose names are given back."""
    minimum = minimum_in_sync(access.settings.of(KafkaSettings).brokers)
    with client.doing("looking at its partitions"):
        topics = admin.describe_topics()
    if sick := sick_partitions(topics, minimum):
        raise Failure(sick)
    return [topic["name"] for topic in topics]


def _check_acls(access: Access, *brokers: set[Acl]) -> None:
    """A proof's own topic says nothing of the application's."""
    wanted = acls(access.settings.of(KafkaSettings))
    if lacking := sorted(set().union(*(wanted - present for present in brokers))):
        first, more = lacking[0], len(lacking) - 1
        star = "*" if first.pattern == "PREFIXED" else ""
        what = f"{first.operation} on {first.resource} {first.name}{star}"
        message = f"{first.principal} has no ACL for {what}{f' and {more} more' if more else ''}"
        raise Failure(finding("kafka-access-refused", message, service="kafka"))


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
