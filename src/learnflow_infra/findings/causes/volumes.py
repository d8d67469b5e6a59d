"""Of claims, volumes and what a pod needs of its node before it starts."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "volume-deletion-pending",
        Exit.UNHEALTHY,
        "A claim was deleted while its pod runs: when the pod ends, the data is gone. Nothing "
        "takes a deletion back.",
        "Copy what is needed out of the service, which still runs (`learnflow-infra connect` leads "
        "there). Then delete the pod with `kubectl delete pod` and run `learnflow-infra up`: it "
        "begins with an empty volume.",
    ),
    Cause(
        "volume-lost",
        Exit.UNHEALTHY,
        "The volume that a claim was bound to is gone.",
        "Bring the PersistentVolume back, or remove the claim with `learnflow-infra down --purge`.",
    ),
    Cause(
        "volume-not-new",
        Exit.UNHEALTHY,
        "A volume that was given out as a new one holds the data of an earlier deployment.",
        "Remove it with `learnflow-infra down --purge` and what that then names as left; then "
        "run `learnflow-infra up`.",
    ),
    Cause(
        "volume-left",
        Exit.UNHEALTHY,
        "Volumes are still there after their claims were purged, and the data is in them.",
        "Remove the named storage, then the volumes with `kubectl delete persistentvolume`.",
    ),
    Cause(
        "volume-provisioning-failed",
        Exit.UNHEALTHY,
        "The StorageClass's provisioner could not make a volume.",
        "Read its reason with `kubectl describe pvc`.",
    ),
    Cause(
        "volume-unbound",
        Exit.UNHEALTHY,
        "A volume claim is not bound.",
        "Look at its events with `kubectl describe pvc`.",
    ),
    Cause(
        "scheduler-stalled",
        Exit.UNHEALTHY,
        "A pod's claims are bound, and the scheduler has not tried the pod again since.",
        "Run `learnflow-infra up`, which makes it try; by itself it does within five minutes.",
    ),
    Cause(
        "volume-mount-failed",
        Exit.UNHEALTHY,
        "A node could not attach or mount a pod's volume.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "pod-sandbox-failed",
        Exit.UNHEALTHY,
        "A node could not set up a pod's network or sandbox.",
        "Look at the node's network plug-in and container runtime with `kubectl describe pod`.",
    ),
)
