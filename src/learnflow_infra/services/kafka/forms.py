"""A login as clients' libraries read it."""

from __future__ import annotations

from collections.abc import Mapping

from learnflow_infra.services import Form
from learnflow_infra.services.kafka.config import client_properties
from learnflow_infra.services.shared import properties


def forms(login: Mapping[str, str], authority: str) -> dict[str, Form]:
    """The values of a connection Secret, whose certificate lies in the file `authority`."""
    bootstrap, protocol = login["bootstrap.servers"], login["security.protocol"]
    mechanism = login["sasl.mechanism"]
    user, password = login["username"], login["password"]
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "KAFKA_SECURITY_PROTOCOL": protocol,
        "KAFKA_SASL_MECHANISM": mechanism,
        "KAFKA_SASL_USERNAME": user,
        "KAFKA_SASL_PASSWORD": password,
        "KAFKA_SASL_JAAS_CONFIG": login["sasl.jaas.config"],
    }
    plain = {
        "bootstrap.servers": bootstrap,
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "username": user,
        "password": password,
    }
    # https://docs.spring.io/spring-boot/appendix/application-properties/
    spring = {
        "spring.kafka.bootstrap-servers": bootstrap,
        "spring.kafka.security.protocol": protocol,
        "spring.kafka.properties.sasl.mechanism": mechanism,
        "spring.kafka.properties.sasl.jaas.config": login["sasl.jaas.config"],
    }
    # https://kafka.js.org/docs/configuration
    kafkajs: dict[str, object] = {
        "brokers": bootstrap.split(","),
        "sasl": {"mechanism": mechanism.lower(), "username": user, "password": password},
    }
    # https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
    librdkafka = {
        "bootstrap.servers": bootstrap,
        "security.protocol": protocol,
        "sasl.mechanism": mechanism,
        "sasl.username": user,
        "sasl.password": password,
    }
    if certificate := login.get("ca.crt"):
        variables["KAFKA_SSL_CA_LOCATION"] = variables["NODE_EXTRA_CA_CERTS"] = authority
        plain["ca.file"] = authority
        spring["spring.kafka.ssl.trust-store-type"] = "PEM"
        spring["spring.kafka.ssl.trust-store-location"] = f"file:{authority}"
        kafkajs["ssl"] = {"ca": [certificate]}
        librdkafka["ssl.ca.location"] = authority
    return {
        "env": variables,
        "json": plain,
        "properties": client_properties(login),
        "spring": properties.lines(spring),
        "node": kafkajs,
        "python": librdkafka,
    }
