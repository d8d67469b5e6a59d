"""The rights that `role` prints: just what is asked, and each that is missing is named."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

from learnflow_infra.cluster.local import layout

from .between import Asked
from .conftest import Person
from .machine import eventually
from .test_api_server import Through, through  # noqa: F401

# Not met here: what Kubernetes asks for from 1.35 on when a stream is opened.
# Asked by what takes longer than five seconds.
RENEWAL = {("patch", "coordination.k8s.io", "leases")}
LATER = {("create", "", "pods/exec"), ("create", "", "pods/portforward")}
# Roles of earlier versions lack them: the API server decides then, and of two commands at once
# neither waits.
LEASES = {(verb, "coordination.k8s.io", "leases") for verb in ("get", "create", "patch", "delete")}
DISPENSABLE = {("list", "", "resourcequotas"), *LEASES}
REMOVED = json.dumps([{"op": "remove", "path": "/data/password.admin"}])
Right = tuple[str, str, str]  # verb, API group, resource


def printed(person: Person, kind: str) -> set[Right]:
    """What the role that `role` prints allows."""
    (role,) = (x for x in person.run("role", "--json").json["manifests"] if x["kind"] == kind)
    return {
        (verb, group, resource)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def rights(steps: list[Asked], namespace: str) -> tuple[set[Right], set[Right]]:
    """What was asked within the namespace, and elsewhere."""
    own = {(x.verb, x.group, x.resource) for x in steps if x.namespace == namespace}
    other = {(x.verb, x.group, x.resource) for x in steps if x.namespace != namespace}
    return own, other - {("create", "authorization.k8s.io", "selfsubjectaccessreviews")}


def test_nothing_is_granted_that_is_not_asked(through: Through, elsewhere: str) -> None:  # noqa: F811
    """A life of a deployment, in which all is asked that ever is."""
    person = through.person
    steps = []

    def life(*command: str) -> None:
        through.run(*command)
        steps.extend(through.used)

    life("up")
    life("verify")
    life("status")
    life("doctor")
    life("psql")
    person.kubectl("delete", "secret", "postgres-tls", "-n", elsewhere)
    life("up", "postgres")  # the running server takes another certificate up
    credentials = ("secret", "kafka-credentials", "-n", elsewhere)
    person.kubectl("patch", *credentials, "--type=json", "-p", REMOVED)
    life("up", "kafka")  # what is missing of a Secret is added
    postgres = ("-n", elsewhere, "postgres-0")
    person.kubectl("exec", *postgres, "--", "bash", "-c", "echo 13 > $PGDATA/PG_VERSION")
    person.kubectl("delete", "pod", *postgres)
    eventually(lambda: "CrashLoopBackOff" in person.kubectl("get", "pods", "-n", elsewhere), 60)
    life("verify", "postgres")
    life("diagnose")
    life("up", "postgres")  # what backs off is replaced
    person.kubectl("cordon", layout.NAME)
    try:
        person.kubectl("delete", "pod", *postgres)
        eventually(lambda: "Pending" in person.kubectl("get", "pods", "-n", elsewhere))
        life("up", "postgres")  # what is unscheduled is looked at
    finally:
        person.kubectl("uncordon", layout.NAME)
    life("down", "--purge", "--yes")
    own, other = rights(steps, elsewhere)
    assert (own | RENEWAL) ^ printed(person, "Role") == LATER
    assert other ^ printed(person, "ClusterRole") == set()


@contextlib.contextmanager
def without(person: Person, namespace: str, right: Right) -> Iterator[None]:
    """The person's Role lacks one right."""
    verb, group, resource = right
    shown = person.kubectl("get", "role", "learnflow-infra", "-n", namespace, "-o", "json")
    role = json.loads(shown)
    rules = []
    for rule in role["rules"]:
        for each in rule["resources"]:
            less = (group, resource) == (rule["apiGroups"][0], each)
            verbs = [x for x in rule["verbs"] if not (less and x == verb)]
            if verbs:
                rules.append(rule | {"resources": [each], "verbs": verbs})
    patch = json.dumps({"rules": rules})
    person.kubectl("patch", "role", "learnflow-infra", "-n", namespace, "-p", patch)
    await_right(person, namespace, right, there=False)
    yield
    patch = json.dumps({"rules": role["rules"]})
    person.kubectl("patch", "role", "learnflow-infra", "-n", namespace, "-p", patch)
    await_right(person, namespace, right, there=True)


def await_right(person: Person, namespace: str, right: Right, *, there: bool) -> None:
    """Wait until the API server judges by a Role as it is now."""
    verb, group, resource = right
    plural, _, subresource = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
    account = person.identity.partition(":")
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": f"system:serviceaccount:{account[0]}:{account[2]}",
            "resourceAttributes": asked | {"namespace": namespace},
        },
    }
    until = time.monotonic() + 20
    while True:
        said = person.kubectl("create", "-o", "json", "-f", "-", stdin=json.dumps(review))
        if json.loads(said)["status"]["allowed"] is there:
            return
        assert time.monotonic() < until


def named(person: Person, namespace: str, right: Right, *command: str) -> None:
    with without(person, namespace, right):
        answer = person.run(*command, "--json", "--timeout", "60")
    what = f"{right}: {answer.stdout}"
    assert answer.exit_code == 4, what
    assert answer.codes[0] == "permission-missing", what
    verb, _, resource = right
    message = answer.json["findings"][0]["message"]
    assert f'cannot {verb} resource "{resource}"' in message, what


def test_each_missing_right_is_named(through: Through, elsewhere: str) -> None:  # noqa: F811
    """At each step in turn: every command comes as far as the right that it lacks."""
    person = through.person
    person.kubectl("delete", "clusterrolebinding", "the-tests-person")  # it grants some as well

    def steps(*command: str) -> list[Right]:
        answer = through.run(*command)
        assert answer.exit_code == 0, answer.stdout
        asked = [x for x in through.used if x.namespace == elsewhere]
        return [(x.verb, x.group, x.resource) for x in asked]

    ups, verifies, downs = steps("up", "postgres"), steps("verify", "postgres"), steps("down")
    assert person.run("down", "--purge", "--yes").exit_code == 0
    for right in ups:
        if right not in {*verifies, *DISPENSABLE}:
            named(person, elsewhere, right, "up", "postgres")
    assert person.run("up", "postgres").exit_code == 0
    for right in verifies:
        if right not in DISPENSABLE:
            named(person, elsewhere, right, "verify", "postgres")
    for right in downs:
        if right[0] == "delete" and right not in DISPENSABLE:
            named(person, elsewhere, right, "down")
    with without(person, elsewhere, ("create", "coordination.k8s.io", "leases")):
        answer = person.run("up", "postgres")
        assert answer.exit_code == 0
        assert "no right to Leases" in answer.stderr
    person.permit()


def test_without_the_cluster_role_all_works(person: Person, elsewhere: str) -> None:
    person.kubectl("delete", "clusterrolebinding", "the-tests-person")
    try:
        answer = person.run("up", "postgres", "--json")
        assert answer.exit_code == 0, answer.stdout
        assert person.run("verify", "postgres").exit_code == 0
        assert person.run("down", "--purge", "--yes").exit_code == 0
    finally:
        person.permit()


def test_a_purge_leaves_a_namespace_that_only_others_may_delete(
    person: Person, elsewhere: str
) -> None:
    answer = person.run("down", "--purge", "--yes", "--json")
    assert answer.exit_code == 0
    assert "no permission to delete it" in answer.json["notes"][0]
    assert elsewhere in person.kubectl("get", "namespaces", "-o", "name")
