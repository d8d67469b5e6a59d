"""Applications beside the services: what keeps them from these is told, and who may connect from
where is a setting."""

from __future__ import annotations

import base64
import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import probes
from .conftest import ADMINISTRATOR, NAMESPACE, Person
from .machine import eventually
from .probes import REACHED, REFUSED

NAME = "shop"
SECURITY = {
    "runAsNonRoot": True,
    "runAsUser": 999,
    "seccompProfile": {"type": "RuntimeDefault"},
}
LOGIN = {"secretKeyRef": {"name": "postgres-connection", "key": "password"}}


def deployment(*, labels: dict[str, str], script: str, **container: Any) -> dict[str, Any]:
    selected = {"app": NAME}
    inner = {
        "name": "shop",
        "image": "postgres:17.12",
        "command": ["bash", "-c", script],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "securityContext": SECURITY,
        "terminationGracePeriodSeconds": 0,
        "containers": [inner | container],
    }
    template = {"metadata": {"labels": selected | labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": selected}, "template": template},
    }


@pytest.fixture
def shop(deployed: Person) -> Iterator[Person]:
    yield deployed
    deployed.kubectl("delete", "deployment", NAME, "-n", NAMESPACE, "--wait=true")
    gone = ("wait", "-n", NAMESPACE, "--for=delete", "pod", "-l", f"app={NAME}", "--timeout=60s")
    deployed.kubectl(*gone)


def applied(person: Person, manifest: dict[str, Any]) -> None:
    probes.apply(person, manifest)
    rolled_out(person)


def rolled_out(person: Person) -> None:
    person.kubectl("rollout", "status", f"deployment/{NAME}", "-n", NAMESPACE, "--timeout=60s")
    # Of the pods before, none must be left that could be judged.
    person.kubectl(
        *("wait", "-n", NAMESPACE, "--for=condition=Ready", "pod", "-l", f"app={NAME}"),
        "--timeout=60s",
    )


def follow(person: Person, remedy: str) -> None:
    """Do what a remedy says, with the administrator's kubectl."""
    command = re.search(r"`kubectl (.*?)`", remedy)
    assert command, remedy
    person.kubectl(*shlex.split(command[1]))


def settled(person: Person) -> None:
    """No pod is being deleted, and none is told of any more."""
    until = "jsonpath={.status.replicas}=1"
    person.kubectl("wait", f"deployment/{NAME}", "-n", NAMESPACE, f"--for={until}", "--timeout=60s")


def test_an_application_without_the_label_is_told_of_and_the_remedy_helps(shop: Person) -> None:
    env = [{"name": "PGPASSWORD", "valueFrom": LOGIN}]
    applied(shop, deployment(labels={}, script="sleep infinity", env=env))
    answer = shop.run("diagnose", "--json")
    assert (answer.exit_code, answer.codes) == (1, ["client-unlabelled"])
    (found,) = answer.json["findings"]
    assert found["message"] == (
        "deployment/shop uses the Secret postgres-connection; its pods lack "
        "learnflow-app/client=true"
    )
    # In another context than kubectl's current one, the remedy names it.
    elsewhere = shop.administer("diagnose", "--json").json["findings"][0]["remedy"]
    assert elsewhere == found["remedy"].replace("kubectl", f"kubectl --context {ADMINISTRATOR}", 1)
    follow(shop, found["remedy"])
    rolled_out(shop)
    settled(shop)
    answer = shop.run("diagnose")
    assert answer.exit_code == 0, answer.stdout


def test_an_application_with_an_old_login_is_told_of_and_the_remedy_helps(shop: Person) -> None:
    labels = {"learnflow-app/client": "true"}
    secret = [{"secretRef": {"name": "postgres-connection"}}]
    applied(shop, deployment(labels=labels, script="sleep infinity", envFrom=secret))
    assert shop.run("diagnose").exit_code == 0
    encoded = base64.b64encode(b"a-new-one").decode()
    patch = json.dumps({"data": {"password": encoded}})
    shop.kubectl("patch", "secret", "postgres-credentials", "-n", NAMESPACE, "-p", patch)
    restart = f"kubectl -n {NAMESPACE} rollout restart deployment/{NAME}"
    answer = shop.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert [note for note in answer.json["notes"] if restart in note]
    answer = shop.run("diagnose", "--json")
    assert (answer.exit_code, answer.codes) == (1, ["client-login-old"])
    follow(shop, answer.json["findings"][0]["remedy"])
    rolled_out(shop)
    settled(shop)
    answer = shop.run("diagnose")
    assert answer.exit_code == 0, answer.stdout
    answer = shop.run("up", "--json")
    assert (answer.json["changed"], answer.json["notes"]) == ([], [])


def test_a_program_that_takes_a_services_variable_for_its_own_is_told_of(shop: Person) -> None:
    script = 'echo "ValueError: POSTGRES_PORT: $POSTGRES_PORT is no number" >&2; exit 1'
    probes.apply(shop, deployment(labels={}, script=script))
    crashed = "{.items[*].status.containerStatuses[*].lastState.terminated.exitCode}"
    listed = ("get", "pods", "-n", NAMESPACE, "-l", f"app={NAME}", "-o", f"jsonpath={crashed}")
    eventually(lambda: shop.kubectl(*listed) == "1", 60)
    answer = shop.run("diagnose", "--json")
    assert answer.codes == ["client-service-links"], answer.stdout
    assert "enableServiceLinks: false" in answer.json["findings"][0]["remedy"]


PLACES = ("allowed", "other")


@pytest.fixture
def neighbours(person: Person, tmp_path: Path) -> Iterator[Person]:
    """In two namespaces beside the services' a pod with the label that is set, and one without."""
    probes.load(tmp_path)
    for place in PLACES:
        probes.apply(
            person,
            probes.namespace(place),
            probes.pod(place, "web", labels={"tier": "web"}),
            probes.pod(place, "stranger", labels={"learnflow-app/client": "true"}),
        )
        probes.await_ready(person, place)
    yield person
    person.kubectl("delete", "namespace", *PLACES, "--timeout=60s")


def test_who_may_connect_and_what_pods_may_be_are_settings(
    neighbours: Person, elsewhere: str
) -> None:
    settings = (
        f'[cluster]\nnamespace = "{elsewhere}"\n[security]\npod_security = "baseline"\n'
        'client_label = "tier=web"\nclient_namespaces = ["allowed"]\n'
    )
    neighbours.settings(settings)
    answer = neighbours.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    address = f"postgres.{elsewhere}.svc:5432"
    reached = {
        (place, name): probes.dial(neighbours, place, name, address)
        for place in PLACES
        for name in ("web", "stranger")
    }
    assert reached.pop(("allowed", "web")) == REACHED
    assert set(reached.values()) == {REFUSED}
    root = probes.pod(elsewhere, "root")
    root["spec"]["securityContext"] = {"runAsUser": 0}
    neighbours.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(root))
    root["spec"]["hostNetwork"] = True
    refused = subprocess.run(
        neighbours.kubectl_command("create", "--dry-run=server", "-f", "-"),
        env=neighbours.environment,
        input=json.dumps(root),
        capture_output=True,
        text=True,
    )
    assert 'violates PodSecurity "baseline' in refused.stderr
    answer = neighbours.run("up", "postgres", "--json")
    assert answer.json["changed"] == []
