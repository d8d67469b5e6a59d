"""The command with everything of its security off, to measure what security costs: no encryption,
no login, no rights, no network policies. It is no setting: nobody should deploy this.

What it leaves out of the proof is what only security makes necessary, such as the administrator's
second login.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from learnflow_infra import cli
from learnflow_infra.kubernetes.routes import Route
from learnflow_infra.services import Access
from learnflow_infra.services.kafka import client as kafka_client
from learnflow_infra.services.kafka import config as kafka_config
from learnflow_infra.services.kafka import proof as kafka_proof
from learnflow_infra.services.kafka import service as kafka_service
from learnflow_infra.services.kafka import topics as kafka_topics
from learnflow_infra.services.kafka import users as kafka_users
from learnflow_infra.services.postgres import objects as postgres_objects
from learnflow_infra.services.postgres import service as postgres_service
from learnflow_infra.settings import Settings

# What the benchmark writes into the settings, beside what is patched here.
SETTINGS = "[security]\nencryption = false\n"


def _plaintext(settings: Settings) -> str:
    return "PLAINTEXT"


def _listeners(settings: Settings) -> dict[str, object]:
    protocols = ",".join(f"{name}:PLAINTEXT" for name in kafka_config.PORTS)
    return {"listener.security.protocol.map": protocols}


def _topics(
    access: Access,
    inner: Route,
    brokers: Mapping[str, str],
) -> list[str]:
    anyone = kafka_client.application(access)
    with kafka_client.connected(access, inner, list(brokers), anyone) as client:
        return kafka_topics.reconcile(access, client, client.admin())


def _without_policies(objects: Callable[..., Any]) -> Callable[..., Any]:
    def kept(self: object, settings: Settings) -> list[Any]:
        return [each for each in objects(self, settings) if each["kind"] != "NetworkPolicy"]

    return kept


def main() -> NoReturn:
    kafka_config.protocol = _plaintext
    vars(kafka_client)["protocol"] = _plaintext  # its own name for the same function
    kafka_config._security = _listeners
    kafka_users.reconcile = _topics
    kafka_proof._oversee = lambda *_: None
    postgres_objects._START = postgres_objects._START.replace("all scram-sha-256", "all trust")
    for service in (kafka_service.Kafka, postgres_service.Postgres):
        service.objects = _without_policies(service.objects)  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
