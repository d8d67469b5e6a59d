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

# How the brokers' settings begin that the deployment sets, or that would undo what it sets.
OWNED = (
    *("advertised.", "allow.everyone.", "authorizer.", "broker.id", "broker.session.", "config."),
    *("controller.listener.", "controller.quorum.", "early.start.", "inter.broker.", "listener"),
    *("log.dir", "metadata.log.dir", "node.id", "principal.", "process.roles", "sasl."),
    *("security.", "ssl.", "super.users", "unstable."),
)

_TOPIC = (r"[A-Za-z0-9._-]{1,249}", "a Kafka topic name: letters, digits, . _ -")
_NAMES = (
    r"[A-Za-z0-9._-]{1,249}\*?|\*",
    "a name, or what names begin with and *, such as learnflow.*",
)
_USER = (r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", "a user's name such as billing: a-z, 0-9, -")


@dataclass(frozen=True)
class Topic:
    """A topic as it is after each `up`."""

    name: str = rules.required(_TOPIC)
    partitions: int = rules.number(3, 1, 1000, "They can be raised, and not be lowered.")
    replication_factor: int = rules.number(
        0, 0, 3, "0 is one on each broker. Fixed while the topic is kept."
    )
    config: tuple[tuple[str, str], ...] = rules.configuration(
        'Topic-level configuration, such as { "cleanup.policy" = "compact", "retention.ms" = '
        "604800000 }; what is not here is the broker's default."
    )


@dataclass(frozen=True)
class User:
    """A user of its own, with a Secret kafka-connection-NAME."""

    name: str = rules.required(_USER)
    access: str = rules.choice(
        "read",
        "write",
        "own",
        doc="read records; write: read and write them; own: create, change and delete topics too.",
    )
    topics: tuple[str, ...] = rules.texts(_NAMES, doc="Its topics.")
    groups: tuple[str, ...] = rules.texts(
        _NAMES, doc="Its consumer groups. Transactional ids may be named like either."
    )


@dataclass(frozen=True)
class KafkaSettings(ServiceSettings):
    name: ClassVar[str] = "kafka"
    sizes: ClassVar[Sizes] = {"standard": ("250m", "768Mi"), "small": ("100m", "512Mi")}

    image: str = rules.text("apache/kafka:4.3.0", rules.IMAGE, "The image of its pods.")
    host_port: int = rules.number(
        19092,
        1024,
        65533,
        "`connect` opens this port on localhost, and the next ones for further brokers.",
    )
    brokers: int = rules.choice(
        1, 3, doc="1, or 3 with three replicas of every topic. Fixed while the data is kept."
    )
    config: tuple[tuple[str, str], ...] = rules.configuration(
        'The brokers\' settings, such as { "message.max.bytes" = 2000000 }. A change restarts them.'
    )
    user: str = rules.text(
        "learnflow", _USER, "The application's user, whose own all declared topics are."
    )
    user_topics: tuple[str, ...] = rules.texts(
        _NAMES,
        "learnflow.*",
        doc="Its further topics.",
    )
    user_groups: tuple[str, ...] = rules.texts(
        _NAMES,
        "learnflow.*",
        doc="Its consumer groups. Transactional ids may be named like either.",
    )
    users: tuple[User, ...] = rules.tables(
        User,
        doc='More users, each with a Secret kafka-connection-NAME, such as { name = "billing", '
        'access = "read", topics = ["learnflow.*"], groups = ["billing"] }.',
    )
    topics: tuple[Topic, ...] = rules.tables(
        Topic,
        Topic("learnflow.events"),
        doc="Topics as they are after each `up`; one that is taken out of here is kept.",
    )

    @property
    def host_ports(self) -> range:
        """One a broker, from `host_port` on."""
        return range(self.host_port, self.host_port + self.brokers)

    def check(self) -> None:
        for key, _ in self.config:
            if key.startswith(OWNED):
                raise ValueError(f"kafka.config: {key} is the deployment's own")
        topics = [topic.name for topic in self.topics]
        for topic in self.topics:
            if topic.replication_factor > self.brokers:
                raise ValueError(
                    f"kafka.topics: {topic.name!r} asks for {topic.replication_factor} replicas, "
                    f"and kafka.brokers is {self.brokers}"
                )
        for name in topics:
            if topics.count(name) > 1:
                raise ValueError(f"kafka.topics: {name!r} is named twice")
            if name in (".", "..") or name.startswith("__"):
                raise ValueError(f"kafka.topics: {name!r} is a name that Kafka keeps for itself")
        if not self.user_topics and not topics:
            raise ValueError("kafka.user_topics: must name at least one where no topic is declared")
        users = [self.user, *(user.name for user in self.users)]
        for name in users:
            if users.count(name) > 1:
                raise ValueError(f"kafka.users: {name!r} is named twice")
            if name in _OWN_USERS:
                raise ValueError(f"kafka.users: {name!r} is a user that the deployment keeps")
        for names in (*self.user_topics, *(each for user in self.users for each in user.topics)):
            if names.startswith("__") or names in ("*", "_*"):
                raise ValueError(f"kafka: {names!r} includes topics that Kafka keeps for itself")
