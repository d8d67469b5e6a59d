"""Pods that the API server does not let in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..machine import eventually
from . import injector
from .harness import Stand, fault, pod
from .volumes import claim

TRIAL = pod("trial", "nothing", "true")
LARGE = pod("trial", "nothing", "true")
LARGE["spec"]["containers"][0]["resources"] = {"limits": {"memory": "32Mi"}}
LABELS = {"app": "trial"}
WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "StatefulSet",
    "metadata": {"name": "trial"},
    "spec": {
        "serviceName": "trial",
        "selector": {"matchLabels": LABELS},
        "template": {
            "metadata": {"labels": LABELS},
            "spec": TRIAL["spec"] | {"restartPolicy": "Always"},
        },
    },
}


def raised(stand: Stand, quota: str) -> None:
    """As who raises it, and sees it counted."""
    stand.kubectl("delete", "quota", quota)
    eventually(lambda: "quota" not in stand.trial(LARGE))


@fault(
    "a quota that is used up",
    "up postgres",
    "quota-exceeded",
    exit=4,
    telling=True,
)
def quota(stand: Stand) -> Iterator[None]:
    stand.kubectl("create", "quota", "small", "--hard=requests.memory=10Mi")
    eventually(lambda: "quota" in stand.trial(TRIAL))
    yield
    raised(stand, "small")


@fault(
    "a quota of something that pods do not ask for",
    "up postgres",
    "quota-unspecified",
    exit=4,
    sign="FailedCreate",
    says="must specify limits.cpu",
)
def quota_of_limits(stand: Stand) -> Iterator[None]:
    stand.kubectl("create", "quota", "limits", "--hard=limits.cpu=4")
    eventually(lambda: "quota" in stand.trial(TRIAL))
    yield
    raised(stand, "limits")


@fault("a quota of volumes", "up postgres", "quota-exceeded", exit=4, sign="FailedCreate")
def quota_of_volumes(stand: Stand) -> Iterator[None]:
    stand.kubectl("create", "quota", "small", "--hard=persistentvolumeclaims=0")
    eventually(lambda: "quota" in stand.trial(claim()))
    yield
    raised(stand, "small")


@fault(
    "a limit range that forbids",
    "up postgres",
    "limit-range-refused",
    exit=4,
    sign="FailedCreate",
)
def limit_range(stand: Stand) -> Iterator[None]:
    limit = {"type": "Container", "max": {"memory": "16Mi"}}
    stand.create(
        {
            "apiVersion": "v1",
            "kind": "LimitRange",
            "metadata": {"name": "small"},
            "spec": {"limits": [limit]},
        }
    )
    eventually(lambda: "maximum memory" in stand.trial(LARGE))
    yield
    stand.kubectl("delete", "limitrange", "small")


@fault(
    "a pod that pod security forbids",
    "up postgres",
    "pod-security-refused",
    exit=4,
    sign="FailedCreate",
)
def pod_security(stand: Stand) -> Iterator[None]:
    stand.kubectl(
        "label",
        "--overwrite",
        "namespace",
        stand.namespace,
        "pod-security.kubernetes.io/enforce=restricted",
    )

    def change(pod: dict[str, Any]) -> None:
        pod["spec"]["hostNetwork"] = True

    stand.alter(change)
    yield


@fault(
    "a webhook that refuses pods",
    "up postgres",
    "webhook-refused",
    exit=4,
    sign="FailedCreate",
    says="not on a Tuesday",
)
def webhook_refuses(stand: Stand) -> Iterator[None]:
    stand.refuse("not on a Tuesday")
    yield


@fault("a webhook that is away", "up postgres", "webhook-failing", sign="FailedCreate")
def webhook_away(stand: Stand) -> Iterator[None]:
    url = "https://127.0.0.1:9/"
    absent = injector.configuration("ValidatingWebhookConfiguration", "absent", url, None)
    stand.create(absent)
    stand.kubectl("label", "namespace", stand.namespace, f"{injector.LABEL}=absent")
    try:
        eventually(lambda: "failed calling webhook" in stand.trial(TRIAL))
        yield
    finally:
        stand.kubectl("delete", "validatingwebhookconfiguration", "absent")


def refused_by_policy(
    stand: Stand, group: str, resource: str, trial: dict[str, Any]
) -> Iterator[None]:
    version = "admissionregistration.k8s.io/v1"
    rule = {
        "apiGroups": [group],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": [resource],
    }
    named = {"kubernetes.io/metadata.name": stand.namespace}
    name = f"no-{resource}"
    stand.create(
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "failurePolicy": "Fail",
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "none of these here"}],
            },
        },
        {
            "apiVersion": version,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": named}},
            },
        },
    )
    try:
        eventually(lambda: "none of these here" in stand.trial(trial))
        yield
    finally:
        for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            stand.kubectl("delete", kind, name)


@fault("a policy that refuses pods", "up postgres", "webhook-refused", exit=4, sign="FailedCreate")
def policy(stand: Stand) -> Iterator[None]:
    yield from refused_by_policy(stand, "", "pods", TRIAL)


@fault("a policy that refuses StatefulSets", "up postgres", "webhook-refused", exit=4)
def policy_of_workloads(stand: Stand) -> Iterator[None]:
    yield from refused_by_policy(stand, "apps", "statefulsets", WORKLOAD)


@fault("a Secret that someone made immutable", "up postgres", "apply-refused", says="immutable")
def immutable(stand: Stand) -> Iterator[None]:
    answer = stand.person.run("up", "postgres")
    assert answer.exit_code == 0, answer.stdout
    kept = '{"immutable":true,"stringData":{"port":"1"}}'
    stand.kubectl("patch", "secret", "postgres-connection", "-p", kept)
    yield
    stand.kubectl("delete", "secret", "postgres-connection")


@fault("a pod that is not valid", "up postgres", "pod-create-refused", sign="FailedCreate")
def invalid_pod(stand: Stand) -> Iterator[None]:
    stand.alter(lambda pod: pod["spec"].update(restartPolicy="Perhaps"))
    yield


@fault("a namespace that is being deleted", "up postgres", "namespace-terminating")
def terminating(stand: Stand) -> Iterator[None]:
    stand.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": "held", "finalizers": ["example.com/held"]},
        }
    )
    stand.kubectl("delete", "namespace", stand.namespace, "--wait=false")
    try:
        yield
    finally:
        free = '{"metadata":{"finalizers":null}}'
        stand.kubectl("patch", "configmap", "held", "--type=merge", "-p", free)
        stand.kubectl("wait", "namespace", stand.namespace, "--for=delete", "--timeout=60s")
        stand.kubectl("create", "namespace", stand.namespace)
        stand.person.permit()
