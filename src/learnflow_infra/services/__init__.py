"""What a service must be able to do. Each is a folder here, or somebody else's (`registry`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from learnflow_infra.findings.causes import Cause
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.settings import Settings
from learnflow_infra.settings.service import ServiceSettings

# A login in one library's form: variables or an object, or lines of text.
Form = Mapping[str, Any] | str

# A server that is Ready and does not answer a login for so long does not answer at all.
ANSWER_SECONDS = 8.0


class Secrets(NamedTuple):
    """The values of a service's Secrets: what the application binds to, and all that was made."""

    connection: Mapping[str, str]
    credentials: Mapping[str, str]


@dataclass(frozen=True)
class Access:
    """What reaching a deployed service takes."""

    kube: Kube
    settings: Settings
    secrets: Secrets
    deadline: Deadline

    @property
    def connection(self) -> Mapping[str, str]:
        return self.secrets.connection


class Part(NamedTuple):
    """One StatefulSet of a service: its servers, or the client that proofs are made from."""

    service: str
    name: str
    pods: int
    """How many the settings expect."""


def servers(service: Service, settings: Settings) -> Part:
    return Part(service.name, service.name, len(service.pods(settings)))


def client(service: Service) -> Part:
    return Part(service.name, manifests.client_of(service.name), 1)


def password_key(user: str) -> str:
    """Where the credentials Secret keeps a user's password."""
    return f"password.{user}"


class Service(Protocol):
    """One service: its settings, its image, its objects, its credentials, its proof."""

    @property
    def settings(self) -> type[ServiceSettings]:
        """Its section of infra.toml."""
        ...

    @property
    def recipe(self) -> Recipe | None:
        """How its default image is built where no registry can be reached, if it can be."""
        ...

    @property
    def skill(self) -> Path | None:
        """The folder with its agent skill (https://agentskills.io/specification), if it has one."""
        ...

    @property
    def causes(self) -> Sequence[Cause]:
        """What can go wrong with it alone, the most blocking first."""
        ...

    @property
    def name(self) -> str: ...

    def proof_connections(self, settings: Settings) -> int:
        """How many times a proof dials."""
        ...

    def objects(self, settings: Settings) -> list[Object]:
        """Everything but Secrets, in the order to apply, its client (`manifests.client`) too."""
        ...

    def credentials(self, settings: Settings) -> Object:
        """A Secret of newly made random values; each is used only where none exists yet."""
        ...

    @property
    def read_at_start(self) -> Collection[str]:
        """The credentials by which pods know each other: those of before know the ones of after by
        no others, so that all are started again where these are made anew."""
        ...

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        """Settings that cannot change while the data is kept; stored with the credentials."""
        ...

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        """The Secrets that clients bind to, the application's first, `SERVICE-connection`.

        `authority` is the certificate that servers are checked by, empty without encryption.
        """
        ...

    def pods(self, settings: Settings) -> Sequence[str]: ...

    def require_possible(self, kube: Kube, settings: Settings, deadline: Deadline) -> None:
        """Raise Failure for what the settings ask and cannot be had, as far as files and a server
        that runs can tell before anything is written."""
        ...

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        """The ports on localhost that `connect` opens: each to (pod, its port)."""
        ...

    def declared(self, settings: Settings) -> Sequence[str]:
        """What `reconcile` makes so inside the service, each as its kind and its name."""
        ...

    @property
    def keeps(self) -> Collection[str]:
        """The kinds of those that stay when they are no longer declared, as they hold data."""
        ...

    def tools(self, settings: Settings) -> Mapping[str, Sequence[str]]:
        """Its own tools in the client's pod, by short names: each a command with the login."""
        ...

    def forms(
        self, settings: Settings, connection: Mapping[str, str], authority: str, *, host: bool
    ) -> Mapping[str, Form]:
        """A login in the forms that clients' libraries read, by the forms' names; `env` is one.

        `connection` are the values of its Secret, whose certificate lies in the file `authority`;
        `host` asks for the addresses that `connect` opens.
        """
        ...

    def load_client(self) -> None:
        """Import the client library (0.1 to 0.2 s): called while something else is waited for."""
        ...

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Make what the settings declare inside the service so; says what it changed."""
        ...

    def log_in(self, access: Access, route: Route) -> None:
        """Connect by a route as a strict client does. Raises Failure with the cause."""
        ...

    def prove(self, access: Access, route: Route) -> None:
        """A round trip of data by a route. Raises Failure with the cause."""
        ...

    def client_hint(self, settings: Settings, authority: str) -> Mapping[str, str]:
        """What a client on the host needs, without secrets; `authority` is the path of the file
        with the certificate that servers are checked by, empty without encryption."""
        ...
