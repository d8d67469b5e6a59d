"""What kafka-python's errors and a cluster's metadata mean."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from learnflow_infra.findings.failures import Finding, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services.shared.unreachable import label
from learnflow_infra.settings import Settings

# By the names of kafka-python's errors, which is imported late.
_CODES = {
    "NotEnoughReplicasError": "kafka-not-enough-replicas",
    "NotEnoughReplicasAfterAppendError": "kafka-not-enough-replicas",
    "LeaderNotAvailableError": "kafka-partitions-offline",
    "NotLeaderForPartitionError": "kafka-partitions-offline",
    "KafkaStorageError": "kafka-storage",
    "LogDirNotFoundError": "kafka-storage",
    "CorruptRecordError": "kafka-storage",
    "SaslAuthenticationFailedError": "kafka-password",
    "UnsupportedSaslMechanismError": "kafka-access-refused",
    "IllegalSaslStateError": "kafka-access-refused",
    "SecurityDisabledError": "kafka-access-refused",
    "TopicAuthorizationFailedError": "kafka-access-refused",
    "GroupAuthorizationFailedError": "kafka-access-refused",
    "ClusterAuthorizationFailedError": "kafka-access-refused",
    "TransactionalIdAuthorizationFailedError": "kafka-access-refused",
    "InconsistentClusterIdError": "kafka-cluster-id",
    "MetadataEmptyBrokerList": "kafka-brokers-missing",
    "BrokerNotAvailableError": "kafka-brokers-missing",
    "KafkaConnectionError": "connection-lost",
    "NetworkExceptionError": "connection-lost",
    "KafkaTimeoutError": "service-slow",
    "RequestTimedOutError": "service-slow",
}
# While a topic is created, these mean something else.
_CREATE_CODES = {
    "KafkaTimeoutError": "kafka-no-quorum",
    "RequestTimedOutError": "kafka-no-quorum",
    "NodeNotReadyError": "kafka-no-quorum",
    "NotControllerError": "kafka-no-quorum",
    "RuntimeError": "kafka-no-quorum",
    "InvalidReplicationFactorError": "kafka-topic-refused",
    "InvalidPartitionsError": "kafka-topic-refused",
    "InvalidTopicError": "kafka-topic-refused",
    "InvalidConfigurationError": "kafka-topic-refused",
    "PolicyViolationError": "kafka-topic-refused",
}


def sick_partitions(topics: Sequence[Mapping[str, Any]], minimum: int) -> Finding | None:
    """The worst of what topics' metadata shows: a partition that has no leader, that takes no
    record, or that has fewer copies than it should."""
    sick: dict[str, list[str]] = {
        "kafka-partitions-offline": [],
        "kafka-not-enough-replicas": [],
        "kafka-under-replicated": [],
    }
    for topic in topics:
        for each in topic["partitions"]:
            replicas, in_sync = len(each["replica_nodes"]), len(each["isr_nodes"])
            partition = (
                f"{topic['name']}-{each['partition_index']} ({in_sync} of {replicas} in sync)"
            )
            if each["leader_id"] < 0:
                sick["kafka-partitions-offline"].append(partition)
            elif in_sync < min(minimum, replicas):
                sick["kafka-not-enough-replicas"].append(partition)
            elif in_sync < replicas:
                sick["kafka-under-replicated"].append(partition)
    for code, named in sick.items():
        if named:
            more = f" and {len(named) - 3} more" if len(named) > 3 else ""
            return finding(code, ", ".join(named[:3])[:400] + more, service="kafka")
    return None


def explained(error: Exception, where: str, creating: bool) -> Finding:
    """The finding of an error of kafka-python, met at a step of a proof."""
    kind = type(error).__name__
    code = (_CREATE_CODES.get(kind) if creating else None) or _CODES.get(kind, "round-trip-failed")
    # A refused request is quoted whole in the error; the broker's own words are in the midst of it.
    own = re.search(r"error_message='([^']+)'", str(error))
    words = own[1] if own else getattr(error, "description", None) or str(error)
    return finding(code, f"{where}: {kind}: {words}"[:300], service="kafka")


def restart(settings: Settings) -> str:
    """The remedy of what nodes only read when they start, all at once: they must agree on it."""
    namespace, selector = settings.cluster.namespace, manifests.selector_text("kafka")
    return f"Run `kubectl delete pod -n {namespace} -l {selector}`, then `learnflow-infra up`."


def unusable(route: Route, address: str, reason: str) -> Finding:
    """The finding of an address that brokers hand out and clients cannot use."""
    message = f"{label(route)}: the advertised address {address} cannot be used: {reason}"
    return finding("kafka-advertised-address", message, service="kafka")
