"""Of what is deployed, as a whole."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "room-missing",
        Exit.NO_RESOURCES,
        "The nodes have not enough CPU or memory left.",
        "Free some, give the cluster more, or lower cpu and memory in infra.toml.",
    ),
    Cause(
        "storage-class-missing",
        Exit.NO_RESOURCES,
        "No StorageClass can provide the volumes.",
        "Set storage_class to one that exists, or make one the default.",
        shared=True,
    ),
    Cause(
        "namespace-missing",
        Exit.USAGE,
        "There is no namespace of that name.",
        "Name another one; `kubectl get namespaces` lists them.",
    ),
    Cause(
        "namespace-terminating",
        Exit.UNHEALTHY,
        "The namespace is being deleted.",
        "Wait until it is gone, then repeat.",
        shared=True,
    ),
    Cause(
        "scope-held",
        Exit.DEADLINE,
        "Another command changes the deployment.",
        "Wait until it has ended, or end it; then repeat.",
    ),
    Cause(
        "lease-lost",
        Exit.UNHEALTHY,
        "The command stood still for so long that another one took its place.",
        "Look with `learnflow-infra status` whether the other has ended; then repeat.",
    ),
    Cause(
        "foreign-object",
        Exit.UNHEALTHY,
        "An object of that name is there and is not this scope's.",
        "Rename or remove it, or set another namespace in infra.toml.",
    ),
    Cause(
        "apply-refused",
        Exit.UNHEALTHY,
        "The API server refused an object.",
        "Read its reason; a quota, a policy or a webhook may stand behind it.",
    ),
    Cause(
        "not-deployed",
        Exit.UNHEALTHY,
        "The service is not in the cluster.",
        "Run `learnflow-infra up`.",
    ),
    Cause(
        "scaled-down",
        Exit.UNHEALTHY,
        "Somebody scaled the service to fewer pods than the settings say.",
        "Run `learnflow-infra up`, which scales it back.",
    ),
    Cause(
        "too-many-pods",
        Exit.UNHEALTHY,
        "Somebody scaled the service to more pods than the settings say: its Service sends clients "
        "to pods that share no data with the others.",
        "Run `learnflow-infra up`, which scales it back and keeps the volumes.",
    ),
    Cause(
        "stray-pod",
        Exit.UNHEALTHY,
        "A pod that is none of the service's carries its labels, so that its Service sends clients "
        "there as well.",
        "Delete the pod, or the labels from what makes it, if it is not to be this service.",
    ),
)
