"""Whether what is asked for fits is said before anything is applied."""

from __future__ import annotations

import json
from typing import Any

from learnflow_infra.pipeline import capacity

from .conftest import Person
from .machine import eventually

_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def items(person: Person, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(person.kubectl("get", "-o", "json", *arguments))[
        "items"
    ]
    return found


def settled(person: Person) -> bool:
    """Whether no pod is about to come or to go."""
    pods = items(person, "pods", "--all-namespaces")
    sets = items(person, "statefulsets", "--all-namespaces")
    return not any(each["metadata"].get("deletionTimestamp") for each in pods) and all(
        each["status"].get("readyReplicas", 0) == each["spec"]["replicas"] for each in sets
    )


def free_cores(person: Person) -> int:
    """In thousandths, on the one node, once nothing that other tests left is under way."""
    eventually(lambda: settled(person), 90)
    left = capacity.free(items(person, "nodes"), items(person, "pods", "--all-namespaces"))
    return int(min(values["cpu"] for values in left.values()) * 1000)


def test_what_fits_tightly_is_deployed_and_said(person: Person, elsewhere: str) -> None:
    cpu = free_cores(person) - 50
    person.settings(f'[cluster]\nnamespace = "{elsewhere}"\n[postgres]\ncpu = "{cpu}m"\n')
    answer = person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    assert answer.stdout.startswith("tight: 0.05 CPU and ")
    assert len(answer.stdout.replace(elsewhere, "learnflow").encode()) <= 400


def test_what_does_not_fit_together_is_one_finding(person: Person, elsewhere: str) -> None:
    half = free_cores(person) // 2 + 50
    person.settings(
        f'[cluster]\nnamespace = "{elsewhere}"\n'
        f'[kafka]\ncpu = "{half}m"\n[postgres]\ncpu = "{half}m"\n'
    )
    answer = person.run("up", "--json")
    assert answer.exit_code == 4
    assert answer.codes == ["room-missing"]
    assert f"4 pods need {(half * 2 + 2) / 1000:.2f} CPU" in answer.json["findings"][0]["message"]
    assert person.kubectl("get", "statefulsets,secrets", "-o", "name", "-n", elsewhere) == ""


def test_without_a_default_class_no_volume_is_asked_for(person: Person, elsewhere: str) -> None:
    person.kubectl("annotate", "--overwrite", "storageclass", "standard", f"{_DEFAULT}=false")
    try:
        answer = person.run("up", "--json")
    finally:
        person.kubectl("annotate", "--overwrite", "storageclass", "standard", f"{_DEFAULT}=true")
    assert answer.exit_code == 4
    assert answer.codes == ["storage-class-missing"]
    assert answer.json["findings"][0]["service"] == "kafka, postgres"
    assert person.kubectl("get", "statefulsets,secrets", "-o", "name", "-n", elsewhere) == ""


def test_volumes_that_are_there_need_no_class(person: Person, elsewhere: str) -> None:
    assert person.run("up", "postgres").exit_code == 0
    assert person.run("down").exit_code == 0
    person.kubectl("annotate", "--overwrite", "storageclass", "standard", f"{_DEFAULT}=false")
    try:
        answer = person.run("up", "postgres")
    finally:
        person.kubectl("annotate", "--overwrite", "storageclass", "standard", f"{_DEFAULT}=true")
    assert answer.exit_code == 0, answer.stdout


def test_a_volume_that_never_was_makes_way_for_one_of_another_class(
    person: Person, elsewhere: str
) -> None:
    away = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": "away"},
        "provisioner": "example.com/away",
    }
    where = f'[cluster]\nnamespace = "{elsewhere}"\n'
    person.kubectl("create", "-f", "-", stdin=json.dumps(away))
    try:
        person.settings(f'{where}[postgres]\nstorage_class = "away"\n')
        answer = person.run("up", "postgres", "--timeout", "8", "--json")
        assert answer.codes == ["volume-unbound"]
        person.settings(where)
        answer = person.run("up", "postgres", "--json")
        assert answer.exit_code == 0, answer.stdout
        pruned = {"statefulset/postgres", "persistentvolumeclaim/data-postgres-0"}
        assert pruned <= set(answer.json["changed"])
        person.settings(f'{where}[postgres]\nvolume = "3Gi"\n')  # now it holds data
        assert person.run("up", "postgres", "--json").codes == ["setting-fixed"]
    finally:
        person.kubectl("delete", "storageclass", "away")
