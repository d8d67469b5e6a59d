"""Of this machine, and of what is fetched and built on it."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "local-cluster-unavailable",
        Exit.NO_CLUSTER,
        "The local cluster cannot run on this machine.",
        "Start Minikube, or name a cluster with --context.",
        untested="the tests run where the local cluster can.",
    ),
    Cause(
        "programs-missing",
        Exit.NO_CLUSTER,
        "Programs that are needed are neither installed nor could they be fetched.",
        "Install the named packages, or make Debian's package registry reachable, and repeat.",
    ),
    Cause(
        "local-cluster-build-failed",
        Exit.NO_CLUSTER,
        "The local cluster's programs could not be built.",
        "Read the named log; the build goes on from where it stopped when repeated.",
    ),
    Cause(
        "local-cluster-start-failed",
        Exit.NO_CLUSTER,
        "The local cluster did not come up.",
        "Read the named log, then `learnflow-infra cluster down` and `up` again.",
    ),
    Cause(
        "local-cluster-stop-failed",
        Exit.NO_CLUSTER,
        "The local cluster could not be stopped or removed.",
        "Repeat the command; it goes on from where it stopped.",
        untested="it takes a process that survives being killed.",
    ),
    Cause(
        "local-cluster-address-taken",
        Exit.NO_CLUSTER,
        "Something else on this machine uses the local cluster's addresses or names.",
        "Remove what is named, or use another cluster with --cluster minikube or --context.",
    ),
    Cause(
        "local-cluster-context-taken",
        Exit.NO_CLUSTER,
        "The kubeconfig has another cluster under the local cluster's name.",
        "Rename or remove it there, or set KUBECONFIG to another file.",
    ),
    Cause(
        "kubeconfig-unusable",
        Exit.NO_CLUSTER,
        "The kubeconfig cannot be read or written.",
        "Mend or move the named file, or set KUBECONFIG to another one.",
    ),
    Cause(
        "image-build-failed",
        Exit.UNHEALTHY,
        "A container image could be neither pulled nor built.",
        "Make a container registry or the package registries reachable, then repeat.",
    ),
)
