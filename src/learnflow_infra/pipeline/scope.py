"""The scope: the namespace and the objects that the label marks as this deployment's.

Only objects that carry the label are ever changed or deleted.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from learnflow_infra.diagnosis.reasons import cause_of
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.objects import Object, at, text

_KINDS = (
    *("Secret", "ConfigMap", "NetworkPolicy", "Service"),
    *("StatefulSet", "PersistentVolumeClaim"),
)

Key = tuple[str, str]


@dataclass(frozen=True)
class Scope:
    """The scope's objects as they are, by kind and name."""

    objects: Mapping[Key, Object]
    fresh: bool = False
    """Whether the namespace was just made, so that nothing in it can be somebody else's."""


@dataclass
class Changes:
    """What was written and what was removed, each as `kind/name`."""

    changed: list[str] = field(default_factory=list)
    pruned: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What the user should know of them, each a sentence."""

    def add(self, other: Changes) -> None:
        self.changed += other.changed
        self.pruned += other.pruned
        self.notes += other.notes


def scoped(kube: Kube, namespace: str) -> dict[Key, Object]:
    """All objects of the scope in a namespace, by kind and name."""
    return {
        (kind, text(at(item, "metadata", "name"))): item | {"kind": kind}
        for kind in _KINDS
        for item in kube.list(kind, namespace, manifests.SCOPE_SELECTOR)
    }


def name_of(manifest: Object) -> str:
    return f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"


def foreign(manifest: Object) -> Failure:
    """The Failure of an object that would be written and is somebody else's."""
    where = manifest["metadata"].get("namespace", "the cluster")
    message = f"{name_of(manifest)} in {where} is there and does not carry the scope's label"
    return Failure(finding("foreign-object", message))


def terminating(namespace: str) -> Failure:
    """The Failure of a namespace in which nothing can be made any more."""
    return Failure(finding("namespace-terminating", f"namespace {namespace} is being deleted"))


def fixed_volumes(workload: Object) -> Failure:
    """The Failure of a workload whose volumes would be others."""
    reason = "a volume's size and class cannot change while its data is kept"
    remedy = (
        "Set it back. Where its StorageClass allows it, a claim is enlarged with `kubectl "
        "patch pvc`; else only `learnflow-infra down --purge`, without the data, helps."
    )
    service = workload["metadata"]["labels"]["app.kubernetes.io/name"]
    message = f"{name_of(workload)}: {reason}"
    return Failure(finding("setting-fixed", message, service=service, remedy=remedy))


@contextlib.contextmanager
def refusals(manifest: Object) -> Iterator[None]:
    """The API server's refusal of a write as a Failure."""
    try:
        yield
    except ApiError as error:
        if error.code == 422 and "updates to statefulset spec" in error.message:
            raise fixed_volumes(manifest) from error
        service = manifest["metadata"]["labels"]["app.kubernetes.io/name"]
        message = f"{name_of(manifest)}: {error.message}"
        cause = cause_of("Refused", error.message)
        found = finding(cause[0] if cause else "apply-refused", message, service=service)
        raise Failure(found) from error
