"""Of pods that the API server does not let in."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "quota-exceeded",
        Exit.NO_RESOURCES,
        "A ResourceQuota of the namespace leaves no room for a pod or a volume.",
        "Raise the quota, or lower cpu, memory or volume in infra.toml.",
    ),
    Cause(
        "quota-unspecified",
        Exit.NO_RESOURCES,
        "A ResourceQuota of the namespace counts something that the pods do not ask for.",
        "Give the namespace a LimitRange with a default for it, then run `learnflow-infra up`.",
    ),
    Cause(
        "limit-range-refused",
        Exit.NO_RESOURCES,
        "A LimitRange of the namespace forbids what a pod or a volume asks for.",
        "Change the LimitRange, or cpu, memory or volume in infra.toml.",
    ),
    Cause(
        "pod-security-refused",
        Exit.NO_RESOURCES,
        "The namespace's Pod Security level forbids a pod.",
        "Add what the message asks to the pod's template, or set security.pod_security in "
        "infra.toml and run `learnflow-infra up`; a namespace of others is theirs to relabel.",
    ),
    Cause(
        "webhook-refused",
        Exit.NO_RESOURCES,
        "An admission webhook or policy refuses a pod.",
        "Ask for an exception from who runs the named policy.",
    ),
    Cause(
        "webhook-failing",
        Exit.UNHEALTHY,
        "An admission webhook that must agree to a pod does not answer.",
        "Mend or remove it: `kubectl get "
        "validatingwebhookconfigurations,mutatingwebhookconfigurations`.",
    ),
    Cause(
        "pod-create-refused",
        Exit.UNHEALTHY,
        "The API server refuses to create a pod.",
        "Read its reason with `kubectl describe statefulset`.",
    ),
)
