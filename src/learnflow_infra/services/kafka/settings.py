"""The section [kafka] of infra.toml."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from learnflow_infra.settings import rules
from learnflow_infra.settings.service import ServiceSettings, Sizes

# The nodes' own user, and the administrator: both may do everything.
NODE, ADMIN = _OWN_USERS = ("node", "admin")
# Of the topics of proofs: no prefix of an application's, whose consumers may subscribe to patterns.
PROBES = "infra-probe-"

_TOPIC = (r"[A-Za-z0-9._-]{1,249}", "a Kafka topic name: letters, digits, . _ -")
_PREFIX = (r"[A-Za-z0-9._-]{1,200}", "what names begin with, such as learnflow.")
_USER = (r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", "a user's name such as billing: a-z, 0-9, -")


@dataclass(frozen=True)
class Topic:
    name: str = rules.required(_TOPIC)
    partitions: int = rules.number(3, 1, 1000)


@dataclass(frozen=True)
class User:
    """A user and what the names of its topics and consumer groups begin with."""

    name: str = rules.required(_USER)
    access: str = rules.choice("read", "write", "own")
    """`read` records; `write` them as well; `own` creates, changes and deletes topics too."""
    topics: tuple[str, ...] = rules.texts(_PREFIX)
    groups: tuple[str, ...] = rules.texts(_PREFIX)


@dataclass(frozen=True)
class KafkaSettings(ServiceSettings):
    name: ClassVar[str] = "kafka"
    sizes: ClassVar[Sizes] = {"standard": ("250m", "768Mi"), "small": ("100m", "512Mi")}

    image: str = rules.text("apache/kafka:4.3.0", rules.IMAGE)
    host_port: int = rules.number(19092, 1024, 65533)
    brokers: int = rules.choice(1, 3)
    user: str = rules.text("learnflow", _USER)
    user_prefixes: tuple[str, ...] = rules.texts(_PREFIX, "learnflow.")
    topics: tuple[Topic, ...] = rules.tables(Topic, Topic("learnflow.events"))
    users: tuple[User, ...] = rules.tables(User)

    @property
    def host_ports(self) -> range:
        """One a broker, from `host_port` on."""
        return range(self.host_port, self.host_port + self.brokers)

    def check(self) -> None:
        topics = [topic.name for topic in self.topics]
        for name in topics:
            if topics.count(name) > 1:
                raise ValueError(f"kafka.topics: {name!r} is named twice")
            if name in (".", "..") or name.startswith("__"):
                raise ValueError(f"kafka.topics: {name!r} is a name that Kafka keeps for itself")
        if not self.user_prefixes:
            raise ValueError("kafka.user_prefixes: must name at least one")
        users = [self.user, *(user.name for user in self.users)]
        for name in users:
            if users.count(name) > 1:
                raise ValueError(f"kafka.users: {name!r} is named twice")
            if name in _OWN_USERS:
                raise ValueError(f"kafka.users: {name!r} is a user that the deployment keeps")
        declared = (prefix for user in self.users for prefix in (*user.topics, *user.groups))
        for prefix in (*self.user_prefixes, *declared):
            if "__".startswith(prefix[:2]):
                raise ValueError(f"kafka: {prefix!r} includes topics that Kafka keeps for itself")
