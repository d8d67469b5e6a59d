"""Pods of the probe image: they listen, and try connections from where they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import LocalCluster, build, lock
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import run

from . import probe_image
from .conftest import Person

Object = dict[str, Any]
REACHED = "reached"
REFUSED = "no route to host"  # what a client is told at once; silence would be a time-out


def load(folder: Path) -> None:
    """Bring the image to the running cluster."""
    archive = probe_image.build(folder).with_suffix(".tar")
    LocalCluster().load(archive, Deadline(60))


def pod(
    namespace: str,
    name: str,
    *arguments: str,
    labels: dict[str, str] | None = None,
    ports: dict[str, int] | None = None,
) -> Object:
    """A pod that the restricted Pod Security Standard lets in."""
    listed = [{"name": each, "containerPort": number} for each, number in (ports or {}).items()]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {"name": name} | (labels or {}),
        },
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": False,
            "securityContext": {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [
                {
                    "name": "probe",
                    "image": probe_image.REFERENCE,
                    "args": list(arguments or ("sleep",)),
                    "ports": listed,
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "capabilities": {"drop": ["ALL"]},
                    },
                }
            ],
        },
    }


def namespace(name: str, **labels: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def apply(person: Person, *objects: Object) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": list(objects)}
    person.kubectl("apply", "-f", "-", stdin=json.dumps(listed))


def await_ready(person: Person, namespace: str) -> None:
    person.kubectl(
        "wait", "-n", namespace, "--for=condition=Ready", "pod", "--all", "--timeout=60s"
    )


def address(person: Person, namespace: str, name: str) -> str:
    return person.kubectl("get", "pod", name, "-n", namespace, "-o", "jsonpath={.status.podIP}")


def dial(person: Person, namespace: str, name: str, to: str, network: str = "tcp") -> str:
    """What one try from a pod gave: REACHED, or the error."""
    answer = person.kubectl("exec", "-n", namespace, name, "--", "/probe", "dial", network, to)
    return REFUSED if REFUSED in answer else answer.strip()


def on_the_node(*argv: str) -> str:
    """What a command says in the node's network."""
    environment = build.programs(Deadline(60), lambda _: None).environment
    entered = ("nsenter", f"--target={lock.node_pid()}", "--net", "--", *argv)
    return run(entered, deadline=Deadline(30), env=environment).stdout
