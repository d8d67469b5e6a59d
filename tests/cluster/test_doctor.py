"""What `doctor` says of the machine and the cluster before anything is deployed."""

from __future__ import annotations

import re

import pytest

from learnflow_infra.cluster.local import layout

from .conftest import NAMESPACE, Answer, Person, WithMinikube


def checks(answer: Answer) -> dict[str, tuple[str, str]]:
    """By name, the level and what is said."""
    return {each["name"]: (each["level"], each["said"]) for each in answer.json["checks"]}


def test_a_machine_with_all_that_is_needed_is_a_table_without_remedies(person: Person) -> None:
    answer = person.run("doctor")
    assert answer.exit_code == 0, answer.stdout
    assert len(answer.stdout.encode()) <= 2000
    assert "\033" not in answer.stdout
    rows = answer.stdout.splitlines()
    names = [row[:14].rstrip() for row in rows if not row.startswith("  -> ")]
    assert {"python", "kubectl", "memory", "disk", "cluster", "permissions"} <= set(names)
    assert len(names) == len(set(names))
    assert all(re.match(r".{14} (ok  |warn|-   ) \S", row) for row in rows if row[0] != " ")
    found = checks(person.run("doctor", "--json"))
    assert found["permissions"] == ("ok", "all that the commands need")
    assert found["cluster"][1].startswith("learnflow-local, Kubernetes v1.")
    assert found["local cluster"] == ("ok", "running")
    assert found["policies"][0] == "ok"
    assert found["volumes"] == ("ok", "StorageClasses: standard (default)")


def test_it_changes_nothing(deployed: Person) -> None:
    kinds = "secrets,configmaps,services,statefulsets,persistentvolumeclaims,pods"
    before = [each["metadata"]["resourceVersion"] for each in deployed.objects(kinds)]
    assert deployed.run("doctor").exit_code == 0
    after = [each["metadata"]["resourceVersion"] for each in deployed.objects(kinds)]
    assert after == before


def test_a_right_that_is_missing_is_named_with_who_can_give_it(deployed: Person) -> None:
    remove = '[{"op": "remove", "path": "/rules"}]'
    role = ("role", "learnflow-infra", "-n", NAMESPACE)
    deployed.kubectl("patch", *role, "--type=json", f"--patch={remove}")
    try:
        answer = deployed.run("doctor", "--json")
    finally:
        deployed.permit()
    assert answer.exit_code == 4
    assert answer.codes[0] == "permission-missing"
    first = answer.json["findings"][0]
    assert f"in namespace {NAMESPACE}: not " in first["message"]
    assert "learnflow-infra role" in first["remedy"]


def test_what_does_not_fit_and_what_is_unsafe_is_said_before_deploying(
    person: Person, elsewhere: str
) -> None:
    person.settings(
        f'[cluster]\nnamespace = "{elsewhere}"\n[kafka]\nmemory = "900Gi"\n'
        '[postgres]\nstorage_class = "gold"\n[security]\nencryption = false\n'
    )
    answer = person.run("doctor", "--json")
    assert answer.exit_code == 4
    found = checks(answer)
    assert found["room"][0] == "FAIL"
    assert "921872 MiB" in found["room"][1]
    assert found["volumes"][0] == "FAIL"
    assert "gold" in found["volumes"][1]
    assert found["encryption"][0] == "warn"
    said = person.run("doctor").stdout
    assert "\n  -> Set encryption = true under [security]" in said
    assert len(said.encode()) <= 2000


@pytest.mark.parametrize(
    ("minikube", "level", "said"),
    [
        ("running", "ok", "v1.38.1, profile minikube: running"),
        ("stopped", "ok", "v1.38.1, profile minikube: stopped"),
        (
            "apiserver-killed",
            "FAIL",
            "cluster-not-running: the API server of the Minikube profile minikube is stopped",
        ),
        ("no-profile", "-", "v1.38.1, without a profile"),
        ("paused", "FAIL", "cluster-not-running: the Minikube profile minikube is paused"),
    ],
    indirect=["minikube"],
)
def test_minikube_s_state_is_said_and_left_as_it_is(
    minikube: WithMinikube, level: str, said: str
) -> None:
    answer = minikube.run("doctor", "--json")
    assert checks(answer)["minikube"] == (level, said)
    assert answer.exit_code == (3 if level == "FAIL" else 0), answer.stdout
    assert not any(call.startswith(("start", "unpause", "image")) for call in minikube.calls)


def test_a_context_that_is_not_there_is_no_cluster(person: Person) -> None:
    path = f"{person.kubectl_folder()}:{person.environment['PATH']}"
    answer = person.run("doctor", "--json", "--context", "nowhere", PATH=path)
    assert answer.exit_code == 3
    assert checks(answer)["cluster"][0] == "FAIL"


def test_a_cordoned_cluster_is_warned_of_though_all_pods_run(deployed: Person) -> None:
    deployed.kubectl("cordon", layout.NAME)
    try:
        level, said = checks(deployed.run("doctor", "--json"))["cluster"]
    finally:
        deployed.kubectl("uncordon", layout.NAME)
    assert level == "warn"
    assert said.endswith(f"every node is cordoned: {layout.NAME}")
