"""Of containers that do not start or do not stay, and of what is bound to them."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "secret-missing",
        Exit.UNHEALTHY,
        "A pod refers to a Secret that is not there.",
        "Make it again; where it is the deployment's own, `learnflow-infra up` does.",
    ),
    Cause(
        "config-map-missing",
        Exit.UNHEALTHY,
        "A pod refers to a ConfigMap that is not there.",
        "Make it again; where it is the deployment's own, `learnflow-infra up` does.",
    ),
    Cause(
        "key-missing",
        Exit.UNHEALTHY,
        "A pod refers to a key that its Secret or ConfigMap does not have.",
        "Make it again; where it is the deployment's own, `learnflow-infra up` does.",
    ),
    Cause(
        "container-config",
        Exit.UNHEALTHY,
        "A container's configuration cannot be used.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "container-create",
        Exit.UNHEALTHY,
        "The container runtime could not create the container.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "container-run",
        Exit.UNHEALTHY,
        "The container runtime could not run the container.",
        "Read its reason with `kubectl describe pod`.",
    ),
    Cause(
        "init-container-failing",
        Exit.UNHEALTHY,
        "An init container ends with an error, so that the pod does not start.",
        "Read its log with `kubectl logs --previous -c` and its name.",
    ),
    Cause(
        "volume-unwritable",
        Exit.UNHEALTHY,
        "The server's user may not write to its volume.",
        "Give the folder to the named user with `chown` where the volume lies, or use a "
        "StorageClass whose volumes heed fsGroup; then run `learnflow-infra up`.",
        log="is not writable: owner|has wrong ownership",
    ),
    Cause(
        "image-unfit",
        Exit.UNHEALTHY,
        "The image lacks a program, the user or the major version that the service needs.",
        "Set image in infra.toml to the official one, or to one made from it.",
        log=r"bash: line \d+: .*(not found|No such file)|could not look up effective user|"
        "is too old a version",
    ),
    Cause(
        "volume-full",
        Exit.UNHEALTHY,
        "A volume has no space left.",
        "Free some; or, where its StorageClass allows it, enlarge its claim with `kubectl patch "
        "pvc` and leave volume in infra.toml as it is.",
        # The second is Java's: a file that it has mapped cannot grow.
        log="no space left on device|fault occurred in an unsafe memory access",
    ),
    Cause(
        "out-of-memory",
        Exit.UNHEALTHY,
        "A container was killed because it used more memory than its limit.",
        "Raise memory in infra.toml.",
        log="java.lang.OutOfMemoryError",
    ),
    Cause(
        "startup-probe-killing",
        Exit.UNHEALTHY,
        "A container is killed because it takes too long to start.",
        "Read its log with `kubectl logs --previous`; give it more cpu in infra.toml.",
    ),
    Cause(
        "liveness-probe-killing",
        Exit.UNHEALTHY,
        "A container is killed because it no longer answers its liveness probe.",
        "Read its log with `kubectl logs --previous`.",
    ),
    Cause(
        "container-crashing",
        Exit.UNHEALTHY,
        "A container ends again and again.",
        "Read its last words with `kubectl logs --previous`.",
    ),
    Cause(
        "pods-not-ready",
        Exit.UNHEALTHY,
        "Not all pods are Running and Ready.",
        "Run `learnflow-infra up`, which waits for them.",
        heals=True,
    ),
    Cause(
        "job-failed",
        Exit.UNHEALTHY,
        "A Job gave up.",
        "Read its pods' logs with `kubectl logs job/` and its name.",
    ),
    Cause(
        "service-without-endpoints",
        Exit.UNHEALTHY,
        "A Service's selector fits no pod.",
        "Compare `kubectl get service -o wide` with the pods' labels.",
    ),
    Cause(
        "connection-missing",
        Exit.UNHEALTHY,
        "The connection Secret is not there.",
        "Run `learnflow-infra up`, which makes it again.",
    ),
    Cause(
        "connection-differs",
        Exit.UNHEALTHY,
        "The connection Secret, which applications bind to, is not what the settings and the "
        "credentials Secret make it: somebody changed one of them since the last `up`.",
        "Run `learnflow-infra up`, which writes it and sets the server's passwords; then restart "
        "what was bound to it.",
    ),
    Cause(
        "image-load-failed",
        Exit.UNHEALTHY,
        "A built image could not be loaded into the cluster.",
        "Look at the node's disk, then repeat.",
    ),
)
