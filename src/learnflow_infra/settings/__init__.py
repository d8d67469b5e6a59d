"""`infra.toml` to typed, checked settings.

Each field's default is the setting's default; its metadata holds the rule that a value must keep.
Raises Failure(settings-invalid) that names the file, the setting, what is wrong and what is right.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learnflow_infra.findings.failures import Failure, finding

SCOPE = "phase-2-infrastructure"
# The brokers' and controllers' own user, and the administrator: both may do everything.
KAFKA_NODE, KAFKA_ADMIN = KAFKA_OWN_USERS = ("node", "admin")
# The roles that hold what declared users may do with the tables.
POSTGRES_READ, POSTGRES_WRITE = POSTGRES_OWN_ROLES = ("learnflow_read", "learnflow_write")
_PLACE = Path("learnflow-app") / SCOPE / "infra.toml"

_DNS_LABEL = (r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?", "a DNS label such as learnflow")
_QUANTITY = (r"[1-9][0-9]*(Mi|Gi)", "a size such as 512Mi or 2Gi")
_MEMORY = (r"([1-9][0-9]*(Mi|Gi))?", "a size such as 512Mi or 2Gi, or empty")
_CPU = (r"([1-9][0-9]*m?)?", "CPUs such as 250m or 1, or empty")
_IMAGE = (
    r"[a-z0-9][a-z0-9._/:-]*[:@][A-Za-z0-9._:-]+",
    "an image with its tag or digest, such as postgres:17.12",
)
_STORAGE_CLASS = (r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?", "a StorageClass, or empty for the default")
_TOPIC = (r"[A-Za-z0-9._-]{1,249}", "a Kafka topic name: letters, digits, . _ -")
_PREFIX = (r"[A-Za-z0-9._-]{1,200}", "what names begin with, such as learnflow.")
_USER = (r"[a-z]([-a-z0-9]{0,38}[a-z0-9])?", "a user's name such as billing: a-z, 0-9, -")
_ROLE = (r"[a-z]([a-z0-9_]{0,38}[a-z0-9])?", "a role such as reports: a-z, 0-9, _")
_IDENTIFIER = (r"[a-z_][a-z0-9_]{0,62}", "lower-case letters, digits and _, at most 63")
_CONTEXT = (r"[^\x00-\x1f]{0,253}", "a context of your kubeconfig, or empty")


_KINDS = {bool: "true or false", int: "a whole number", str: "a string"}


def _text(default: str, rule: tuple[str, str]) -> Any:
    return field(default=default, metadata={"pattern": rule[0], "means": rule[1]})


def _choice(default: Any, *values: Any) -> Any:
    return field(default=default, metadata={"values": (default, *values)})


def _number(default: int, least: int, most: int) -> Any:
    return field(default=default, metadata={"least": least, "most": most})


def _required(rule: tuple[str, str]) -> Any:
    return field(default="", metadata={"pattern": rule[0], "means": rule[1], "required": True})


def _texts(rule: tuple[str, str], *default: str) -> Any:
    return field(default=default, metadata={"each": _text("", rule)})


def _tables(kind: type, *default: Any) -> Any:
    return field(default=default, metadata={"each": field(default=kind)})


@dataclass(frozen=True)
class Topic:
    name: str = _required(_TOPIC)
    partitions: int = _number(3, 1, 1000)


@dataclass(frozen=True)
class KafkaUser:
    """A user and what the names of its topics and consumer groups begin with."""

    name: str = _required(_USER)
    access: str = _choice("read", "write", "own")
    """`read` records; `write` them as well; `own` creates, changes and deletes topics too."""
    topics: tuple[str, ...] = _texts(_PREFIX)
    groups: tuple[str, ...] = _texts(_PREFIX)


@dataclass(frozen=True)
class PostgresUser:
    """A role of its own, and whether it reads the application's tables or writes them as well."""

    name: str = _required(_ROLE)
    access: str = _choice("read", "write")


@dataclass(frozen=True)
class ClusterSettings:
    provider: str = _choice("auto", "minikube", "local")
    context: str = _text("", _CONTEXT)
    namespace: str = _text("learnflow", _DNS_LABEL)
    size: str = _choice("standard", "small")


@dataclass(frozen=True)
class ImageSettings:
    source: str = _choice("auto", "registry", "packages")


@dataclass(frozen=True)
class SecuritySettings:
    encryption: bool = True


@dataclass(frozen=True)
class KafkaSettings:
    image: str = _text("apache/kafka:4.3.0", _IMAGE)
    brokers: int = _choice(1, 3)
    cpu: str = _text("", _CPU)
    memory: str = _text("", _MEMORY)
    volume: str = _text("2Gi", _QUANTITY)
    storage_class: str = _text("", _STORAGE_CLASS)
    host_port: int = _number(19092, 1024, 65533)
    user: str = _text("learnflow", _USER)
    user_prefixes: tuple[str, ...] = _texts(_PREFIX, "learnflow.")
    topics: tuple[Topic, ...] = _tables(Topic, Topic("learnflow.events"))
    users: tuple[KafkaUser, ...] = _tables(KafkaUser)


@dataclass(frozen=True)
class PostgresSettings:
    image: str = _text("postgres:17.12", _IMAGE)
    cpu: str = _text("", _CPU)
    memory: str = _text("", _MEMORY)
    volume: str = _text("2Gi", _QUANTITY)
    storage_class: str = _text("", _STORAGE_CLASS)
    host_port: int = _number(15432, 1024, 65535)
    database: str = _text("learnflow", _IDENTIFIER)
    user: str = _text("learnflow", _IDENTIFIER)
    users: tuple[PostgresUser, ...] = _tables(PostgresUser)


# What a pod of each service asks for where the settings leave it empty: (cpu, memory).
_SIZES = {
    "standard": {"kafka": ("250m", "768Mi"), "postgres": ("250m", "256Mi")},
    "small": {"kafka": ("100m", "512Mi"), "postgres": ("50m", "192Mi")},
}


@dataclass(frozen=True)
class Settings:
    cluster: ClusterSettings = ClusterSettings()
    images: ImageSettings = ImageSettings()
    security: SecuritySettings = SecuritySettings()
    kafka: KafkaSettings = KafkaSettings()
    postgres: PostgresSettings = PostgresSettings()

    def __post_init__(self) -> None:
        for name, (cpu, memory) in _SIZES[self.cluster.size].items():
            own = getattr(self, name)
            sized = dataclasses.replace(own, cpu=own.cpu or cpu, memory=own.memory or memory)
            object.__setattr__(self, name, sized)  # a frozen one's only way


def load(given: str | None) -> Settings:
    """The settings of a file: the one given, else the scope's nearest above the working folder.

    Without either, the defaults.
    """
    if given is None:
        places = (folder / _PLACE for folder in (Path.cwd(), *Path.cwd().parents))
        file = next((place for place in places if place.is_file()), None)
        if file is None:
            return Settings()
    else:
        file = Path(given)
    try:
        # Editors on Windows begin a file with a byte-order mark.
        table = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise _invalid(file, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(file, f"is no TOML: {error}") from error
    try:
        return parse(table)
    except ValueError as error:
        raise _invalid(file, str(error)) from error


def override(
    settings: Settings, *, provider: str | None, context: str | None, namespace: str | None
) -> Settings:
    """The settings with the cluster and namespace that the command line names, if it names one."""
    cluster = settings.cluster
    if context:
        cluster = dataclasses.replace(cluster, context=context)
    elif provider:
        cluster = dataclasses.replace(cluster, provider=provider, context="")
    if namespace:
        cluster = dataclasses.replace(cluster, namespace=namespace)
    return dataclasses.replace(settings, cluster=cluster)


def parse(table: dict[str, Any]) -> Settings:
    """Settings from a TOML table. Raises ValueError that says which setting and why."""
    settings: Settings = _record(Settings, table, "")
    _check_kafka(settings.kafka)
    first = settings.kafka.host_port
    if settings.postgres.host_port in range(first, first + settings.kafka.brokers):
        raise ValueError("postgres.host_port: is one of Kafka's host ports")
    _check_postgres(settings.postgres)
    return settings


def _check_kafka(kafka: KafkaSettings) -> None:
    topics = [topic.name for topic in kafka.topics]
    for name in topics:
        if topics.count(name) > 1:
            raise ValueError(f"kafka.topics: {name!r} is named twice")
        if name in (".", "..") or name.startswith("__"):
            raise ValueError(f"kafka.topics: {name!r} is a name that Kafka keeps for itself")
    if not kafka.user_prefixes:
        raise ValueError("kafka.user_prefixes: must name at least one")
    users = [kafka.user, *(user.name for user in kafka.users)]
    for name in users:
        if users.count(name) > 1:
            raise ValueError(f"kafka.users: {name!r} is named twice")
        if name in KAFKA_OWN_USERS:
            raise ValueError(f"kafka.users: {name!r} is a user that the deployment keeps")
    declared = (prefix for user in kafka.users for prefix in (*user.topics, *user.groups))
    for prefix in (*kafka.user_prefixes, *declared):
        if "__".startswith(prefix[:2]):
            raise ValueError(f"kafka: {prefix!r} includes topics that Kafka keeps for itself")


def _check_postgres(postgres: PostgresSettings) -> None:
    users = [user.name for user in postgres.users]
    for setting, name in (("user", postgres.user), *(("users", name) for name in users)):
        if name in ("postgres", "public", "none") or name.startswith("pg_"):
            raise ValueError(f"postgres.{setting}: {name!r} is a name that PostgreSQL keeps")
        if name in POSTGRES_OWN_ROLES:
            raise ValueError(f"postgres.{setting}: {name!r} is a role that the deployment keeps")
        if [postgres.user, *users].count(name) > 1:
            raise ValueError(f"postgres.users: {name!r} is named twice")
    if postgres.database in ("postgres", "template0", "template1"):
        raise ValueError("postgres.database: must not be one of PostgreSQL's own")


def _record(kind: type, table: object, where: str) -> Any:
    if not isinstance(table, dict):
        raise ValueError(f"{where.rstrip('.')}: must be a table")
    fields = {each.name: each for each in dataclasses.fields(kind)}
    for key in table:
        if key not in fields:
            close = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(fields)}"
            raise ValueError(f"{where}{key}: no such setting; {hint}")
    values = {key: _value(fields[key], value, f"{where}{key}") for key, value in table.items()}
    for name, rule in fields.items():
        if rule.metadata.get("required") and name not in values:
            raise ValueError(f"{where}{name}: is missing")
    return kind(**values)


def _value(rule: dataclasses.Field[Any], value: object, where: str) -> Any:
    default = rule.default
    if dataclasses.is_dataclass(default):
        kind = default if isinstance(default, type) else type(default)
        return _record(kind, value, where + ".")
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{where}: must be an array")
        each = rule.metadata["each"]
        return tuple(_value(each, item, f"{where}[{n}]") for n, item in enumerate(value))
    if type(value) is not type(default):
        right = _KINDS[type(default)]
        raise ValueError(f"{where}: must be {right}, not {value!r:.60}")
    meta = rule.metadata
    if "values" in meta and value not in meta["values"]:
        allowed = " or ".join(str(each) for each in meta["values"])
        raise ValueError(f"{where}: must be {allowed}, not {value!r:.60}")
    if "pattern" in meta and not re.fullmatch(meta["pattern"], str(value)):
        raise ValueError(f"{where}: must be {meta['means']}, not {value!r:.60}")
    if "least" in meta and not meta["least"] <= int(str(value)) <= meta["most"]:
        raise ValueError(f"{where}: must be {meta['least']} to {meta['most']}, not {value!r:.60}")
    return value


def _invalid(file: Path, reason: str) -> Failure:
    return Failure(finding("settings-invalid", f"{file}: {reason}"))


def mebibytes(quantity: str) -> int:
    """A checked size such as `2Gi` in MiB."""
    number, unit = int(quantity[:-2]), quantity[-2:]
    return number * (1024 if unit == "Gi" else 1)
