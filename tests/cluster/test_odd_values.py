"""Passwords of a person's own, and accounts that try to read what is not theirs."""

from __future__ import annotations

import json
import string

import pytest

from .conftest import NAMESPACE, Person


def test_passwords_with_every_printable_character_work(mended: Person) -> None:
    """Whoever puts a password of his own into the credentials gets it, character by character."""
    # One that ends with white space is refused.
    odd = " " + "".join(each for each in string.printable if each.isprintable()).strip()
    before = {}
    for service, keys in (
        ("kafka", ("password.learnflow", "password.admin")),
        ("postgres", ("password",)),
    ):
        name = f"{service}-credentials"
        secret = json.loads(mended.kubectl("get", "secret", name, "-n", NAMESPACE, "-o", "json"))
        before[name] = {"data": {key: secret["data"][key] for key in keys}}
        _patch(mended, name, {"stringData": dict.fromkeys(keys, odd)})
    try:
        answer = mended.run("up")
        assert answer.exit_code == 0, answer.stdout
        assert mended.run("verify").exit_code == 0
        assert mended.run("up", "--json").json["changed"] == []
    finally:
        for name, data in before.items():
            _patch(mended, name, data)


def _patch(person: Person, secret: str, body: object) -> None:
    # By standard input, as an argument is for everyone to read.
    person.kubectl(
        *("patch", "secret", secret, "-n", NAMESPACE, "--type=merge", "--patch-file=/dev/stdin"),
        stdin=json.dumps(body),
    )


@pytest.mark.intruder("reads {} with the pods' service account", by="the cluster's RBAC")
@pytest.mark.parametrize("what", ["secrets", "pods", "configmaps"])
def test_a_service_account_of_the_namespace_reads_nothing(deployed: Person, what: str) -> None:
    account = f"--as=system:serviceaccount:{NAMESPACE}:default"
    with pytest.raises(AssertionError, match=r"Forbidden.*cannot list"):
        deployed.kubectl("get", what, "-n", NAMESPACE, account)


@pytest.mark.intruder("finds a service account's token in a server's pod", by="none is mounted")
@pytest.mark.parametrize("pod", ["kafka-0", "postgres-0"])
def test_no_pod_has_a_token(deployed: Person, pod: str) -> None:
    listing = "ls -d /var/run/secrets /run/secrets/kubernetes.io 2>&1 || true"
    said = deployed.kubectl("exec", "-n", NAMESPACE, pod, "--", "bash", "-c", listing)
    assert said.count("No such file") == 2, said
