"""Of the way to a cluster, and of what it lets the user do."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "cluster-not-found",
        Exit.NO_CLUSTER,
        "There is neither Minikube nor a local cluster, nor a named context.",
        "Install Minikube (https://minikube.sigs.k8s.io/docs/start) and run `minikube start`, "
        "or name a cluster with --context.",
    ),
    Cause(
        "cluster-not-running",
        Exit.NO_CLUSTER,
        "The cluster is there but does not run.",
        "Start it with `learnflow-infra up`.",
    ),
    Cause(
        "cluster-unreachable",
        Exit.NO_CLUSTER,
        "The context's API server does not answer, or something else does.",
        "Start the cluster, or name another with --context.",
    ),
    Cause(
        "api-slow",
        Exit.DEADLINE,
        "The API server took too long for one request.",
        "Look at the control plane's load, then repeat.",
    ),
    Cause(
        "api-certificate-refused",
        Exit.NO_CLUSTER,
        "The API server's certificate is not one that the context trusts.",
        "Fetch the cluster's kubeconfig again, or name another context with --context.",
    ),
    Cause(
        "api-error",
        Exit.UNHEALTHY,
        "The API server refused a request, and not for a reason that is known here.",
        "Read its message, and the control plane's logs; then repeat.",
    ),
    Cause(
        "identity-refused",
        Exit.NO_CLUSTER,
        "The API server does not accept the context's credentials.",
        "Renew them, or name another context with --context.",
    ),
    Cause(
        "credential-plugin-missing",
        Exit.NO_CLUSTER,
        "The program that the kubeconfig takes the context's credentials from is not installed.",
        "Install it as the message says, or name another context with --context.",
    ),
    Cause(
        "credential-plugin-terminal",
        Exit.NO_CLUSTER,
        "The program that the kubeconfig takes the context's credentials from asks at a terminal.",
        "Repeat the command at a terminal.",
    ),
    Cause(
        "credential-plugin-failed",
        Exit.NO_CLUSTER,
        "The program that the kubeconfig takes the context's credentials from gave none.",
        "Log in with it at a terminal, then repeat.",
    ),
    Cause(
        "proxy-failed",
        Exit.NO_CLUSTER,
        "The proxy that the environment or the kubeconfig names does not lead to the API server.",
        "Mend the proxy, or add the API server's address to NO_PROXY.",
    ),
    Cause(
        "permission-missing",
        Exit.NO_RESOURCES,
        "The context's user may not do something that is needed.",
        "Ask the cluster's administrator for the named verb and resource.",
    ),
    Cause(
        "kubectl-missing",
        Exit.NO_CLUSTER,
        "kubectl is needed and not there.",
        "Install kubectl and put it on the PATH; the local cluster brings its own by "
        "`learnflow-infra cluster up`.",
    ),
    Cause(
        "kubectl-failed",
        Exit.NO_CLUSTER,
        "kubectl could not serve the context.",
        "Check the context with `kubectl config get-contexts`.",
    ),
    Cause(
        "minikube-broken",
        Exit.NO_CLUSTER,
        "minikube failed, or gave no usable answer in time.",
        "Run the named command by hand, or name a cluster with --context.",
    ),
    Cause(
        "minikube-start-failed",
        Exit.NO_CLUSTER,
        "minikube could not start its stopped profile.",
        "Run `minikube start` by hand and read `minikube logs`.",
    ),
)
