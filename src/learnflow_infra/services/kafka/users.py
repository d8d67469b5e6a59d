"""Users and their ACLs, made so in the running cluster as the settings declare them.

They are the settings' alone: what they do not declare goes.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services import Access
from learnflow_infra.services.kafka import certificate, cluster_id, topics
from learnflow_infra.services.kafka.client import Client, Login, connected, known
from learnflow_infra.services.kafka.config import PLAIN, SCRAM
from learnflow_infra.services.kafka.errors import restart
from learnflow_infra.services.kafka.settings import ADMIN, NODE, PROBES, KafkaSettings, User

_POLL_SECONDS = 0.01
# A node whose log takes a user out may forget all others at its next start (ScramDelta.apply of
# Kafka 4.3.0). Instead the user gets a password that nobody knows, and iterations
# that nobody else sets.
_SHUT_OUT_ITERATIONS = 4097
# No broker enables this mechanism: its iterations are a mark, beside those of the other. A client
# pays for each of the latter, so that these differ less. Kafka takes 4,096 to 16,384, and by hand
# it is 4,096.
_MARK = "SCRAM-SHA-256"
_FEWEST_ITERATIONS = _SHUT_OUT_ITERATIONS + 1
_DIFFERENT = {SCRAM: 2048, _MARK: 12_287}

# What an access allows on the declared names. READ and WRITE include DESCRIBE.
# https://kafka.apache.org/documentation/#security_authz
_ALLOWED = {
    "read": (("TOPIC", "READ"), ("GROUP", "READ")),
    "write": (
        *(("TOPIC", "READ"), ("TOPIC", "WRITE")),
        *(("TRANSACTIONAL_ID", "WRITE"), ("GROUP", "READ")),
    ),
    "own": (("TOPIC", "ALL"), ("TRANSACTIONAL_ID", "ALL"), ("GROUP", "ALL")),
}
# Kafka Streams names its transactions after its group.
_NAMED: dict[str, Callable[[User], Sequence[str]]] = {
    "TOPIC": lambda user: user.topics,
    "GROUP": lambda user: user.groups,
    "TRANSACTIONAL_ID": lambda user: (*user.topics, *user.groups),
}


class Acl(NamedTuple):
    """One entry of Kafka's access control lists, in Kafka's own words."""

    principal: str
    operation: str
    resource: str
    name: str
    pattern: str = "PREFIXED"
    permission: str = "ALLOW"
    host: str = "*"


def users(kafka: KafkaSettings) -> list[User]:
    """The application's user and the others that the settings declare."""
    return [User(kafka.user, "own", kafka.user_topics, kafka.user_groups), *kafka.users]


def acls(kafka: KafkaSettings) -> set[Acl]:
    """Everything that anyone but the nodes and the administrator may do."""
    application = f"User:{kafka.user}"
    return {
        Acl(application, "ALL", "TOPIC", PROBES),
        *(Acl(application, "ALL", "TOPIC", each.name, "LITERAL") for each in kafka.topics),
    } | {
        Acl(f"User:{user.name}", operation, resource, *_pattern(names))
        for user in users(kafka)
        for resource, operation in _ALLOWED[user.access]
        for names in _NAMED[resource](user)
    }


def _pattern(names: str) -> tuple[str, str]:
    """Kafka's name and pattern type: of all names it is a literal `*`."""
    if names != "*" and names.endswith("*"):
        return names[:-1], "PREFIXED"
    return names, "LITERAL"


def reconcile(access: Access, inner: Route, brokers: Mapping[str, str]) -> list[str]:
    """Make certificates, topics, ACLs and users so; says what it changed.

    It logs in as the nodes do, at the addresses `brokers` of the pods, since no other user is there
    at first.
    """
    node = known(access, NODE, PLAIN)
    # The way leads into the very pods that have this password; a certificate to be renewed may be
    # one that no one trusts any more.
    with connected(access, inner, list(brokers), node, checked=False) as client:
        admin = _admin_of_nodes(access, client)
        adopted = cluster_id.adopt(access, client)
        topics.require_known(access, client, admin)
        changed = adopted + topics.reconcile(access, client, admin)
        with client.doing("making ACLs so"):
            changed += _acls(access, client, admin)
        if access.settings.security.encryption:
            pods = {address.partition(":")[0]: pod for address, pod in brokers.items()}
            changed += certificate.renew(access, client, admin, pods)
        names = [ADMIN, *(user.name for user in users(access.settings.of(KafkaSettings)))]
        logins = {name: known(access, name) for name in names}

        # Last: the log of all this is one sequence, so that a user who is let in has ACLs as well.
        with client.doing("making users so"):
            return changed + _users(access, admin, logins)


def _admin_of_nodes(access: Access, client: Client) -> Any:
    from kafka.errors import SaslAuthenticationFailedError

    try:
        return client.admin()
    except SaslAuthenticationFailedError as error:
        message = "the Secret kafka-credentials is not the one that the nodes were started with"
        remedy = restart(access.settings)
        found = finding("kafka-node-password", message, service="kafka", remedy=remedy)
        raise Failure(found) from error


def _acls(access: Access, client: Client, admin: Any) -> list[str]:
    wanted = acls(access.settings.of(KafkaSettings))
    present = present_acls(client)[0]
    added, removed = wanted - present, present - wanted
    if added:
        _check("ACLs", admin.create_acls([_binding(each) for each in added])["failed"])
    if removed:
        answers = admin.delete_acls([_binding(each) for each in removed])
        _check("ACLs", [error for _, _, error in answers if error.errno])
    if added or removed:
        _until(access, lambda: all(each == wanted for each in present_acls(client)))
    return sorted({f"ACLs of {each.principal.removeprefix('User:')}" for each in added | removed})


def present_acls(client: Client) -> list[set[Acl]]:
    """All ACLs, as each of the brokers knows them."""
    from kafka.admin import (
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourceType,
    )
    from kafka.protocol.admin import DescribeAclsRequest

    request = DescribeAclsRequest(
        resource_type_filter=ResourceType.ANY,
        resource_name_filter=None,
        pattern_type_filter=ACLResourcePatternType.ANY,
        principal_filter=None,
        host_filter=None,
        operation=ACLOperation.ANY,
        permission_type=ACLPermissionType.ANY,
    )
    return [
        {
            Acl(
                each.principal,
                ACLOperation(each.operation).name,
                ResourceType(resource.resource_type).name,
                resource.resource_name,
                ACLResourcePatternType(resource.pattern_type).name,
                ACLPermissionType(each.permission_type).name,
                each.host,
            )
            for resource in answer.resources
            for each in resource.acls
        }
        for answer in client.ask_each_broker(request)
    ]


def _binding(acl: Acl) -> Any:
    from kafka.admin import (
        ACL,
        ACLOperation,
        ACLPermissionType,
        ACLResourcePatternType,
        ResourcePattern,
        ResourceType,
    )

    return ACL(
        acl.principal,
        acl.host,
        ACLOperation[acl.operation],
        ACLPermissionType[acl.permission],
        ResourcePattern(ResourceType[acl.resource], acl.name, ACLResourcePatternType[acl.pattern]),
    )


def _users(access: Access, admin: Any, logins: Mapping[str, Login]) -> list[str]:
    from kafka.admin import UserScramCredentialUpsertion as Upsertion

    present = {
        name: {
            each["mechanism"].name.replace("_", "-"): each["iterations"]
            for each in found["credential_infos"]
        }
        for name, found in admin.describe_user_scram_credentials().items()
    }
    wanted = {name: _iterations(access, login) for name, login in logins.items()}
    wrong = [name for name in logins if present.get(name) != wanted[name]]
    gone = {
        name: mechanisms
        for name, mechanisms in present.items()
        if name not in logins and set(mechanisms.values()) != {_SHUT_OUT_ITERATIONS}
    }
    for mechanism in (SCRAM, _MARK):  # one request takes one of a user
        changes = [
            Upsertion(
                name,
                mechanism,
                logins[name].password if mechanism == SCRAM else secrets.token_urlsafe(24),
                wanted[name][mechanism],
            )
            for name in wrong
        ]
        changes += [
            Upsertion(name, mechanism, secrets.token_urlsafe(24), _SHUT_OUT_ITERATIONS)
            for name, mechanisms in gone.items()
            if mechanism in mechanisms
        ]
        if changes:
            answers = admin.alter_user_scram_credentials(changes)
            _check("users", [error for error in answers.values() if error])
    return [*(f"user {name}" for name in wrong), *(f"user {name} removed" for name in sorted(gone))]


def _iterations(access: Access, login: Login) -> dict[str, int]:
    """How many of each mechanism tell that Kafka has this very password, which it never says.

    They follow from it by a key that only the nodes have: whoever connects is told of the first.
    """
    key = known(access, NODE).password.encode()
    digest = hmac.digest(key, f"{login.user}\0{login.password}".encode(), "sha256")
    parts = {SCRAM: digest[:8], _MARK: digest[8:16]}
    return {
        mechanism: _FEWEST_ITERATIONS + int.from_bytes(part) % _DIFFERENT[mechanism]
        for mechanism, part in parts.items()
    }


def _until(access: Access, condition: Callable[[], bool]) -> None:
    """Wait for brokers to follow what the controllers have written."""
    while not condition():
        access.deadline.remaining()
        time.sleep(_POLL_SECONDS)


def _check(what: str, errors: Sequence[object]) -> None:
    if errors:
        message = f"Kafka refuses to change {what}: {errors[0]}"
        raise Failure(finding("reconcile-failed", message[:300], service="kafka"))
