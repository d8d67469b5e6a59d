"""`infra.toml` to typed, checked settings.

Raises Failure(settings-invalid) that names the file, the setting, what is wrong and what is right.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.settings import rules
from learnflow_infra.settings.service import ServiceSettings

S = TypeVar("S", bound=ServiceSettings)

# The sections of the services of these names, or of those that are deployed where none are named.
# Raises ValueError for a name that is no service.
Sections = Callable[[Sequence[str] | None], Mapping[str, type[ServiceSettings]]]

SCOPE = "phase-2-infrastructure"
FILE_NAME = "infra.toml"
PLACE = Path("learnflow-app") / SCOPE / FILE_NAME
_MOST_SHOWN = 60  # characters of a path


@dataclass(frozen=True)
class ClusterSettings:
    provider: str = rules.choice(
        "auto",
        "minikube",
        "local",
        doc="auto: Minikube where it has a profile, else the local cluster.",
    )
    context: str = rules.text(
        "", rules.CONTEXT, "A context of your kubeconfig, used instead; empty for none."
    )
    namespace: str = rules.text(
        "learnflow", rules.DNS_LABEL, "Everything is made in this namespace."
    )
    size: str = rules.choice(
        "standard",
        "small",
        doc="What pods ask for where cpu and memory are empty. small is for a node of 2 CPUs and 3 "
        "GiB.",
    )


@dataclass(frozen=True)
class ImageSettings:
    source: str = rules.choice(
        "auto",
        "registry",
        "packages",
        doc="auto: pulled from their registry, or, where none can be reached, compatible ones "
        "built from package registries.",
    )


@dataclass(frozen=True)
class SecuritySettings:
    encryption: bool = rules.flag(
        True,
        "TLS on all connections, with an authority of this deployment; false leaves them in the "
        "clear.",
    )
    pod_security: str = rules.choice(
        "restricted",
        "baseline",
        "privileged",
        doc="The Pod Security Standard that the services' namespace asks of what else runs in it.",
    )
    client_label: str = rules.text(
        "learnflow-app/client=true",
        rules.LABEL,
        "The label of pods that may connect; empty lets all of these namespaces.",
    )
    client_namespaces: tuple[str, ...] = rules.texts(
        rules.DNS_LABEL,
        doc="Further namespaces whose pods of that label may connect. Copy the connection Secrets "
        "there.",
    )

    @property
    def client_labels(self) -> dict[str, str]:
        """The same as labels, none where all pods may."""
        key, _, value = self.client_label.partition("=")
        return {key: value} if key else {}


SERVICES_DOC = "What is deployed, in this order. A service that is left out is left as it is."
_OWN_SECTIONS = {"cluster": ClusterSettings, "images": ImageSettings, "security": SecuritySettings}


@dataclass(frozen=True)
class Settings:
    """All settings; those of the services in the order in which they are told of."""

    cluster: ClusterSettings = ClusterSettings()
    images: ImageSettings = ImageSettings()
    security: SecuritySettings = SecuritySettings()
    services: Mapping[str, ServiceSettings] = field(default_factory=lambda: MappingProxyType({}))
    file: Path | None = field(default=None, compare=False)
    """The file that they are from; None where they are the defaults."""

    def of(self, kind: type[S]) -> S:
        """The settings of one service, by its own type."""
        found = self.services[kind.name]
        assert isinstance(found, kind)
        return found


def every_section(services: Mapping[str, type[ServiceSettings]]) -> Mapping[str, type]:
    """The sections of a settings file, in the order in which they are told of."""
    return {**_OWN_SECTIONS, **services}


def load(given: str | None, sections: Sections) -> Settings:
    """The settings of a file: the one given, else the scope's nearest above the working folder.

    Without either, the defaults. Raises Failure(settings-misplaced) where the working folder has a
    file that its user may take for the one.
    """
    file = _nearest() if given is None else Path(given).absolute()
    if file is None:
        return parse({}, sections)
    try:
        # Editors on Windows begin a file with a byte-order mark.
        table = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
        return dataclasses.replace(parse(table, sections), file=file)
    except OSError as error:
        raise _invalid(file, f"cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _invalid(file, f"is no TOML: {error}") from error
    except ValueError as error:
        raise _invalid(file, str(error)) from error


def _nearest() -> Path | None:
    here = Path.cwd()
    places = (folder / PLACE for folder in (here, *here.parents))
    file = next((place for place in places if place.is_file()), None)
    other = here / FILE_NAME
    if other.is_file() and not (file and file.samefile(other)):
        used = f"the settings are {shown(file)}" if file else f"settings lie in {PLACE}"
        message = f"{other} is not read: {used}"
        remedy = f"Name the file that is meant: --settings {file or FILE_NAME}."
        if file is None:
            remedy = f"Move it to {PLACE}, or name it: --settings {FILE_NAME}."
        raise Failure(finding("settings-misplaced", message, remedy=remedy))
    return file


def shown(file: Path | None) -> str:
    """A settings file in few bytes: its place in the working folder's project, else its path."""
    if file is None:
        return f"the defaults, no {FILE_NAME} found"
    if file == Path.cwd() / PLACE:
        return f"{PLACE.parts[0]}/…/{FILE_NAME}"
    path = str(file)
    return path if len(path) <= _MOST_SHOWN else f"…{path[1 - _MOST_SHOWN :]}"


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


def parse(table: Mapping[str, object], sections: Sections) -> Settings:
    """Settings from a TOML table. Raises ValueError that says which setting and why."""
    names = table.get("services")
    if names is not None and not _is_texts(names):
        raise ValueError(f"services: must be an array of services' names, not {names!r:.60}")
    listed: Sequence[str] | None = names  # type: ignore[assignment]
    if listed is not None and (not listed or len(set(listed)) < len(listed)):
        raise ValueError("services: must name at least one, and each once")
    try:
        kinds = every_section(sections(listed))
    except ValueError as error:
        raise ValueError(f"services: {error}") from error
    rules.require_known(table, {"services": None, **kinds}, "")
    values = {name: rules.section(kind, table.get(name, {}), name) for name, kind in kinds.items()}
    own = {name: values.pop(name) for name in _OWN_SECTIONS}
    for each in values.values():
        each.check()
    size = own["cluster"].size
    chosen = {name: values[name].sized(size) for name in listed or values}
    _require_distinct_ports(chosen)
    return Settings(**own, services=MappingProxyType(chosen))


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _require_distinct_ports(services: Mapping[str, ServiceSettings]) -> None:
    taken: dict[int, str] = {}
    for name, service in services.items():
        for port in service.host_ports:
            if (other := taken.setdefault(port, name)) != name:
                raise ValueError(f"{name}.host_port: {port} is one of {other}'s host ports")


def _invalid(file: Path, reason: str) -> Failure:
    return Failure(finding("settings-invalid", f"{file}: {reason}"))


def mebibytes(size: str) -> int:
    """A checked size such as `2Gi` in MiB."""
    number, unit = int(size[:-2]), size[-2:]
    return number * (1024 if unit == "Gi" else 1)
