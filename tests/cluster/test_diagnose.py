"""What is said to be wrong in a namespace, of the services and of what others run beside them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from .conftest import NAMESPACE, Person
from .machine import eventually

SECRET = "correct-horse-battery"
TEAM = "team"


def container(*command: str, **more: Any) -> dict[str, Any]:
    return {"name": "c", "image": "postgres:17.12", "command": list(command)} | more


def deployment(name: str, replicas: int, *containers: Any, **spec: Any) -> dict[str, Any]:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": list(containers)} | spec}
    template["spec"]["terminationGracePeriodSeconds"] = 0
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def job(name: str, *command: str) -> dict[str, Any]:
    spec = {"restartPolicy": "Never", "containers": [container(*command)]}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": {"spec": spec}},
    }


class Team:
    """Another team's namespace on the cluster."""

    def __init__(self, person: Person) -> None:
        self.person = person

    def apply(self, *objects: dict[str, Any]) -> None:
        for each in objects:
            self.person.kubectl("apply", "-n", TEAM, "-f", "-", stdin=json.dumps(each))

    def get(self, what: str, *arguments: str) -> str:
        return self.person.kubectl("get", what, "-n", TEAM, *arguments)

    def diagnose(self) -> tuple[int, str, list[dict[str, Any]]]:
        answer = self.person.administer("diagnose", "--namespace", TEAM)
        assert len(answer.stdout.encode()) <= 2000
        as_json = self.person.administer("diagnose", "--namespace", TEAM, "--json")
        assert as_json.exit_code == answer.exit_code
        return answer.exit_code, answer.stdout, as_json.json["findings"]


@pytest.fixture
def team(deployed: Person) -> Iterator[Team]:
    deployed.kubectl("create", "namespace", TEAM)
    yield Team(deployed)
    deployed.kubectl("delete", "namespace", TEAM)


def test_of_a_healthy_deployment_nothing_is_wrong_and_nothing_is_written(deployed: Person) -> None:
    kinds = "pods,services,statefulsets,secrets,configmaps,persistentvolumeclaims,events"

    def versions() -> dict[str, str]:
        shown = deployed.objects(kinds)
        return {each["metadata"]["uid"]: each["metadata"]["resourceVersion"] for each in shown}

    before = versions()
    answer = deployed.run("diagnose")
    assert answer.exit_code == 0, answer.stdout
    said = "nothing wrong: 4 of 4 pods ready, 2 services, 0 other workloads"
    assert answer.stdout.splitlines()[0] == said
    assert versions() == before


def test_what_is_well_or_done_is_no_trouble(team: Team) -> None:
    team.apply(deployment("web", 2, container("sleep", "infinity")), job("done", "true"))
    eventually(lambda: "Complete" in team.get("job/done"), 60)
    eventually(lambda: "2/2" in team.get("deployment/web"), 60)
    code, said, _ = team.diagnose()
    assert code == 0
    assert said.startswith("nothing wrong: 2 of 2 pods ready, 0 services, 2 other workloads\n")


def waits_again(team: Team) -> bool:
    """Whether both crashing pods are in the back-off after a second restart."""
    pods = json.loads(team.get("pods", "-l", "app=crashing", "-o", "json"))["items"]
    statuses = [one for each in pods for one in each["status"].get("containerStatuses", ())]
    return len(statuses) == 2 and all(
        each["restartCount"] >= 2 and "waiting" in each["state"] for each in statuses
    )


def test_independent_troubles_are_told_with_their_workloads_and_a_log(team: Team) -> None:
    secret = {"secretKeyRef": {"name": "key", "key": "value"}}
    crash = container(
        "bash",
        "-c",
        'echo "ERROR: the key $KEY is not accepted"; exit 3',
        env=[{"name": "KEY", "valueFrom": secret}],
    )
    team.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "key"}}
        | {"stringData": {"value": SECRET}},
        deployment("crashing", 2, crash),
        job("given-up", "false"),
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "lost"}}
        | {"spec": {"selector": {"app": "nothing"}, "ports": [{"port": 80}]}},
    )
    eventually(lambda: "Failed" in team.get("job/given-up"), 60)
    # From the second restart on the kubelet waits for 20 s and more: long enough to look twice.
    eventually(lambda: waits_again(team), 90)
    code, said, findings = team.diagnose()
    assert code == 1
    assert [each["code"] for each in findings] == [
        "container-crashing",
        "job-failed",
        "service-without-endpoints",
    ]
    assert "of deployment/crashing and 1 more" in said
    assert "the key *** is not accepted" in said
    assert SECRET not in said
    assert "job/given-up" in said
    assert "service/lost" in said


def test_200_pods_of_one_cause_are_one_finding(team: Team) -> None:
    stuck = deployment("many", 200, container("true"), nodeSelector={"nowhere": "true"})
    team.apply(stuck)
    eventually(lambda: team.get("pods", "-o", "name").count("pod/") == 200, 120)
    eventually(lambda: team.get("pods", "-o", "yaml").count("reason: Unschedulable") == 200, 120)
    code, said, findings = team.diagnose()
    assert code == 4
    assert [each["code"] for each in findings] == ["unschedulable-affinity"]
    assert "0 of 200 pods ready" in said
    assert "and 199 more" in said


def test_a_quota_is_told_by_what_it_holds_up(team: Team) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}}
    team.apply(quota | {"spec": {"hard": {"pods": "0"}}})
    eventually(lambda: "pods" in team.get("quota/none", "-o", "jsonpath={.status.hard}"))
    team.apply(deployment("web", 1, container("true")), deployment("api", 1, container("true")))
    eventually(lambda: team.get("events").count("exceeded quota") >= 2, 60)
    code, said, findings = team.diagnose()
    assert code == 4
    assert [each["code"] for each in findings] == ["quota-exceeded"]
    assert "and 1 more" in said


def test_a_namespace_that_is_not_there_is_wrong_usage(deployed: Person) -> None:
    answer = deployed.administer("diagnose", "--namespace", "nowhere", "--json")
    assert answer.exit_code == 2
    assert answer.codes == ["namespace-missing"]
    assert NAMESPACE in deployed.kubectl("get", "namespaces")  # as the remedy says
    assert deployed.administer("diagnose", "--namespace", NAMESPACE).exit_code == 0


def test_another_namespace_without_rights_in_it_names_what_is_missing(team: Team) -> None:
    answer = team.person.run("diagnose", "--namespace", TEAM, "--json")
    assert answer.exit_code == 4
    assert answer.codes == ["permission-missing"]


def test_a_service_that_is_held_up_is_judged_as_verify_does(mended: Person) -> None:
    mended.kubectl("delete", "statefulset", "postgres", "-n", NAMESPACE)
    answer = mended.run("diagnose", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["not-deployed"]
    assert answer.json["findings"][0]["service"] == "postgres"
