"""Where a remedy is a command, it can be run as it stands."""

from __future__ import annotations

import contextlib
import json
import shlex
from typing import Any

from ..conftest import NAMESPACE, Person
from ..machine import eventually
from . import node


def test_the_remedies_of_lost_credentials_mend_them(mended: Person) -> None:
    mended.kubectl("delete", "secret", "kafka-credentials", "-n", NAMESPACE)
    for code in ("kafka-node-password", "kafka-cluster-id"):
        answer = mended.run("up", "kafka", "--json")
        assert answer.exit_code == 1
        assert answer.codes == [code]
        kubectl, *arguments = shlex.split(answer.json["findings"][0]["remedy"].split("`")[1])
        assert kubectl == "kubectl"
        mended.kubectl(*arguments)
    assert mended.run("verify", "kafka").exit_code == 0


def test_a_pod_that_the_scheduler_forgot_is_shown_to_it(person: Person, elsewhere: str) -> None:
    def is_unschedulable() -> bool:
        conditions = person.kubectl(
            *("get", "pods", "-n", elsewhere, "-o", "jsonpath={.items[*].status.conditions}")
        )
        return "Unschedulable" in conditions

    def claim() -> dict[str, Any]:
        shown = json.loads(person.kubectl("get", "pvc", "-n", elsewhere, "-o", "json"))
        (found,) = shown["items"]
        return dict(found)

    with contextlib.ExitStack() as held:
        with node.stopped("storage"):
            process = person.start("up", "postgres", "--json")
            eventually(is_unschedulable)
            held.enter_context(node.stopped("kube-scheduler"))
        eventually(lambda: claim()["status"]["phase"] == "Bound")
        assert person.run("verify", "postgres", "--json").codes == ["scheduler-stalled"]
        eventually(lambda: "learnflow-app/scheduler-woken" in claim()["metadata"]["annotations"])
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0, said
