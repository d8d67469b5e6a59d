"""Volumes that a purge cannot remove: said with what removes them, and never taken for new ones."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import ADMINISTRATOR, COMMAND, Person

CLAIM = "data-postgres-0"


@pytest.fixture
def kept(person: Person, elsewhere: str) -> Iterator[str]:
    """A namespace whose services have volumes of a class that keeps them."""
    provisioner = storage_class(person, "standard")["provisioner"]
    for name, made_by in (("kept", provisioner), ("by-hand", "kubernetes.io/no-provisioner")):
        person.kubectl(
            *("apply", "-f", "-"),
            stdin=json.dumps(
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": {"name": name},
                    "provisioner": made_by,
                    "reclaimPolicy": "Retain",
                }
            ),
        )
    use(person, elsewhere, "kept")
    yield elsewhere
    person.administer("down", "--purge", "--yes")
    for volume in of(person, elsewhere):
        remove(person, volume)
    person.kubectl("delete", "storageclass", "kept", "by-hand")


def storage_class(person: Person, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(person.kubectl("get", "storageclass", name, "-o", "json"))
    return answer


def use(person: Person, namespace: str, name: str) -> None:
    person.settings(f'[cluster]\nnamespace = "{namespace}"\n[postgres]\nstorage_class = "{name}"\n')


def of(person: Person, namespace: str) -> list[dict[str, Any]]:
    """The namespace's volumes."""
    found = json.loads(person.kubectl("get", "persistentvolumes", "-o", "json"))["items"]
    return [each for each in found if each["spec"]["claimRef"]["namespace"] == namespace]


def remove(person: Person, volume: dict[str, Any]) -> None:
    shutil.rmtree(volume["spec"]["hostPath"]["path"], ignore_errors=True)
    person.kubectl("delete", "persistentvolume", volume["metadata"]["name"])


def sql(person: Person, namespace: str, statement: str) -> str:
    in_pod = ("exec", "-i", "-n", namespace, "postgres-0", "--", "psql", "-U", "postgres", "-tA")
    return person.kubectl(*in_pod, stdin=statement).strip()


def test_what_a_purge_leaves_is_named_and_its_remedy_removes_it(person: Person, kept: str) -> None:
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    answer = person.administer("down", "--purge", "--yes", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["volume-left"]
    remedy = answer.json["findings"][0]["remedy"]
    (volume,) = of(person, kept)
    folder = Path(volume["spec"]["hostPath"]["path"])
    assert f"Remove the folder {folder} on its node" in remedy
    assert (folder / "pgdata").exists()

    # Carried out to the letter.
    shutil.rmtree(folder)
    command = re.search(r"`kubectl --context \S+ (.*?)`", remedy)
    assert command is not None
    person.kubectl(*command[1].split())
    answer = person.administer("down", "--purge", "--yes", "--json")
    assert answer.exit_code == 0, answer.stdout
    answer = person.administer("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout


def test_a_used_folder_is_not_taken_for_a_new_volume(person: Person, kept: str) -> None:
    answer = person.run("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    sql(person, kept, "create table purged as select 42 as n")
    assert person.administer("down", "--purge", "--yes", "--json").codes == ["volume-left"]
    (old,) = of(person, kept)
    person.kubectl("delete", "persistentvolume", old["metadata"]["name"])
    folder = Path(old["spec"]["hostPath"]["path"])
    while time.time() < folder.joinpath("pgdata/PG_VERSION").stat().st_ctime + 15:
        time.sleep(0.2)  # the clocks of a node and of the API server need not agree

    # As a provisioner does it that names its folders by their claims: the claim, then the volume.
    use(person, kept, "by-hand")
    command = [str(COMMAND), "up", "postgres", "--json", "--context", ADMINISTRATOR]
    path = f"{person.kubectl_folder()}:{person.environment['PATH']}"
    with subprocess.Popen(
        command, cwd=person.folder, env=person.environment | {"PATH": path}, stdout=subprocess.PIPE
    ) as up:
        claim = claimed(person, kept)
        bring(person, old, claim)
        said, _ = up.communicate(timeout=120)
    assert up.returncode == 1
    assert [each["code"] for each in json.loads(said)["findings"]] == ["volume-not-new"]
    assert sql(person, kept, "select n from purged") == "42"

    # Its remedy, to the letter.
    assert person.administer("down", "--purge", "--yes", "--json").codes == ["volume-left"]
    (volume,) = of(person, kept)
    remove(person, volume)
    use(person, kept, "kept")
    answer = person.administer("up", "postgres", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert sql(person, kept, "select to_regclass('purged')") == ""


def claimed(person: Person, namespace: str) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = person.kubectl("get", "pvc", "-n", namespace, "-o", "json", "--ignore-not-found")
        for each in json.loads(found or '{"items": []}')["items"]:
            if each["metadata"]["name"] == CLAIM:
                answer: dict[str, Any] = each
                return answer
        time.sleep(0.1)
    raise AssertionError("no claim was made")


def bring(person: Person, old: dict[str, Any], claim: dict[str, Any]) -> None:
    """A volume of the old one's folder for the claim."""
    meta = claim["metadata"]
    reference = {key: meta[key] for key in ("name", "namespace", "uid")}
    kinds = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    spec = {
        **{key: old["spec"][key] for key in ("accessModes", "capacity", "hostPath")},
        "claimRef": kinds | reference,
        "persistentVolumeReclaimPolicy": "Retain",
        "storageClassName": "by-hand",
    }
    item = {"apiVersion": "v1", "kind": "PersistentVolume", "spec": spec}
    name = {"metadata": {"name": "used-again"}}
    person.kubectl("apply", "-f", "-", stdin=json.dumps(item | name))
