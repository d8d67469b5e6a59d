"""Valkey: one server with an append-only file, and one user, the application's."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services import Access, Form
from learnflow_infra.services.shared import authority, probe_names
from learnflow_infra.settings import Settings
from learnflow_valkey.causes import CAUSES
from learnflow_valkey.client import PORT, login
from learnflow_valkey.image import RECIPE
from learnflow_valkey.settings import ValkeySettings

_POD = "valkey-0"
_USER_ID = 999
_PROBE_SECONDS = 60

# The user's password comes from its Secret, so that no argument and no variable holds it.
_START = """\
set -e
cat > /run/valkey/valkey.conf <<END
dir /var/lib/valkey
appendonly yes
protected-mode no
user default off
user %(user)s on >$(cat /etc/valkey/password) ~* &* +@all -@admin
%(port)s
END
exec valkey-server /run/valkey/valkey.conf
"""
_ENCRYPTED = f"""\
port 0
tls-port {PORT}
tls-cert-file /etc/valkey-tls/tls.crt
tls-key-file /etc/valkey-tls/tls.key
tls-ca-cert-file /etc/valkey-tls/ca.crt
tls-auth-clients no"""


class Valkey:
    name = "valkey"
    settings = ValkeySettings
    recipe = RECIPE
    causes = CAUSES
    skill = None

    def proof_connections(self, settings: Settings) -> int:
        return 2

    def pods(self, settings: Settings) -> Sequence[str]:
        return [_POD]

    def host_ports(self, settings: Settings) -> Mapping[int, tuple[str, int]]:
        return {settings.of(ValkeySettings).host_port: (_POD, PORT)}

    def objects(self, settings: Settings) -> list[Object]:
        valkey = settings.of(ValkeySettings)
        password = {"key": "password", "path": "password"}
        mounted = {"secretName": "valkey-credentials", "items": [password], "defaultMode": 0o440}
        return [
            manifests.network_policy(settings, "valkey", clients=[PORT]),
            manifests.service(settings, "valkey", "valkey", {"valkey": PORT}),
            manifests.service(settings, "valkey-nodes", "valkey", {"valkey": PORT}, headless=True),
            manifests.stateful_set(
                settings,
                "valkey",
                governing_service="valkey-nodes",
                replicas=1,
                user=_USER_ID,
                container=self._container(settings),
                volumes=[
                    {"name": "credentials", "secret": mounted},
                    {"name": "run", "emptyDir": {"sizeLimit": "1Mi"}},
                    *([authority.volume("valkey")] if settings.security.encryption else []),
                ],
                volume_size=valkey.volume,
                storage_class=valkey.storage_class,
            ),
            manifests.client(
                settings,
                "valkey",
                image=valkey.image,
                user=_USER_ID,
                memory="32Mi",
                environment={},
            ),
        ]

    def _container(self, settings: Settings) -> Object:
        valkey, encryption = settings.of(ValkeySettings), settings.security.encryption
        port = _ENCRYPTED if encryption else f"port {PORT}"
        tls = {"name": "tls", "mountPath": "/etc/valkey-tls", "readOnly": True}
        return {
            "image": valkey.image,
            "imagePullPolicy": "IfNotPresent",
            "command": ["bash", "-c", _START % {"user": valkey.user, "port": port}],
            "ports": [{"name": "valkey", "containerPort": PORT}],
            "resources": {
                "requests": {"cpu": valkey.cpu, "memory": valkey.memory},
                "limits": {"memory": valkey.memory},
            },
            "volumeMounts": [
                {"name": "data", "mountPath": "/var/lib/valkey"},
                {"name": "credentials", "mountPath": "/etc/valkey", "readOnly": True},
                {"name": "run", "mountPath": "/run/valkey"},
                *([tls] if encryption else []),
            ],
            **manifests.probes(manifests.port_open(PORT)),
        }

    def credentials(self, settings: Settings) -> Object:
        values = {"password": secrets.token_urlsafe(24)}
        return manifests.secret(settings, "valkey", "valkey-credentials", values, data=True)

    keeps = ()
    read_at_start = ("password",)

    def fixed(self, settings: Settings) -> Mapping[str, str]:
        return {}

    def connections(
        self, settings: Settings, credentials: Mapping[str, str], authority: str
    ) -> list[Object]:
        user, password = settings.of(ValkeySettings).user, credentials["password"]
        host = f"valkey.{settings.cluster.namespace}.svc"
        scheme = "rediss" if authority else "redis"
        values = {
            "type": "redis",
            "provider": "learnflow-infra",
            "host": host,
            "port": str(PORT),
            "username": user,
            "password": password,
            "uri": f"{scheme}://{user}:{password}@{host}:{PORT}/0",
        }
        if authority:
            values["ca.crt"] = authority
        kind = "servicebinding.io/redis"
        return [manifests.secret(settings, "valkey", "valkey-connection", values, kind=kind)]

    def client_hint(self, settings: Settings, authority: str) -> Mapping[str, str]:
        valkey = settings.of(ValkeySettings)
        hint = {"host": "localhost", "port": str(valkey.host_port), "user": valkey.user}
        return hint | ({"cacert": authority} if authority else {})

    def forms(
        self, settings: Settings, connection: Mapping[str, str], authority: str, *, host: bool
    ) -> Mapping[str, Form]:
        name, port = connection["host"], connection["port"]
        if host:
            name, port = "localhost", str(settings.of(ValkeySettings).host_port)
        return {
            "env": {
                "VALKEY_HOST": name,
                "VALKEY_PORT": port,
                "VALKEY_USER": connection["username"],
                "VALKEY_PASSWORD": connection["password"],
                **({"VALKEY_CA": authority} if authority else {}),
            }
        }

    def declared(self, settings: Settings) -> Sequence[str]:
        return []

    def tools(self, settings: Settings) -> Mapping[str, Sequence[str]]:
        return {}

    def require_possible(self, kube: Kube, settings: Settings, deadline: Deadline) -> None:
        """All that can be declared is possible."""

    # ---- inside the running service

    def load_client(self) -> None:
        """There is no library."""

    def reconcile(self, access: Access, route: Route) -> list[str]:
        """Nothing: the user stands in the configuration, which is written at each start."""
        return []

    def log_in(self, access: Access, route: Route) -> None:
        with login(access, route) as session:
            session.run("PING")

    def prove(self, access: Access, route: Route) -> None:
        """Write a random value, read it back on another connection, remove it."""
        key, payload = probe_names.name("learnflow-probe-"), secrets.token_hex(32)
        with login(access, route) as session, login(access, route) as reader:
            session.run("SET", key, payload, "EX", str(_PROBE_SECONDS))
            read = reader.run("GET", key)
            session.run("DEL", key)
        if read != payload:
            message = "what was read back is not what was written"
            raise Failure(finding("round-trip-failed", message, service="valkey"))
