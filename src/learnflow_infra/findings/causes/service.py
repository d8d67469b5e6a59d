"""Of a service whose pods run."""

from __future__ import annotations

from learnflow_infra.findings.causes.table import Cause, Exit

CAUSES = (
    Cause(
        "stream-refused",
        Exit.NO_RESOURCES,
        "A policy of the cluster refuses exec into pods or port-forwards, on which proofs and "
        "`connect` depend.",
        "Ask who runs the named policy or webhook to allow pods/exec and pods/portforward in the "
        "namespace.",
        shared=True,
    ),
    Cause(
        "client-missing",
        Exit.UNHEALTHY,
        "The pod that the proof is made from is not deployed.",
        "Run `learnflow-infra up`, which adds it.",
    ),
    Cause(
        "policy-differs",
        Exit.UNHEALTHY,
        "The service's NetworkPolicy is gone or changed, and clients do not reach it.",
        "Run `learnflow-infra up`, which puts it back.",
    ),
    Cause(
        "policy-of-others",
        Exit.UNHEALTHY,
        "NetworkPolicies of others do not let clients out to the service or to the cluster's DNS.",
        "Add a policy that lets them, as the finding says.",
    ),
    Cause(
        "dns-shut",
        Exit.UNHEALTHY,
        "The cluster's DNS answers the service's pods and not its clients.",
        "Look for what lets only some pods to it, with `kubectl get networkpolicy -n kube-system`.",
        shared=True,
    ),
    Cause(
        "service-unreachable",
        Exit.UNHEALTHY,
        "An address of the service accepts no connection.",
        "Look at the Service's endpoints with `kubectl get endpointslices`.",
        heals=True,
    ),
    Cause(
        "round-trip-failed",
        Exit.UNHEALTHY,
        "Data that was written did not come back as it should.",
        "Read the service's log with `kubectl logs`.",
    ),
    Cause(
        "reconcile-failed",
        Exit.UNHEALTHY,
        "What the settings declare inside the service could not be made so.",
        "Read the service's log with `kubectl logs`.",
    ),
    Cause(
        "name-unknown",
        Exit.UNHEALTHY,
        "The cluster's DNS does not know a name of the service.",
        "Run `learnflow-infra up`, which makes the Service again.",
        heals=True,
    ),
    Cause(
        "dns-unavailable",
        Exit.UNHEALTHY,
        "The cluster's DNS does not answer.",
        "Look at it with `kubectl get pods -n kube-system -l k8s-app=kube-dns`.",
        heals=True,
        shared=True,
    ),
    Cause(
        "connection-lost",
        Exit.UNHEALTHY,
        "The service closed a connection in the middle of its proof.",
        "Repeat; if it stays, read the service's log with `kubectl logs`.",
        heals=True,
    ),
    Cause(
        "service-slow",
        Exit.UNHEALTHY,
        "The service took too long for one step of its proof.",
        "Look at the node's load with `kubectl top node`, then repeat.",
        heals=True,
    ),
    Cause(
        "certificate-authority",
        Exit.UNHEALTHY,
        "The server's certificate is not signed by the deployment's authority.",
        "Run `learnflow-infra up`, which signs a new one.",
    ),
    Cause(
        "certificate-expired",
        Exit.UNHEALTHY,
        "The server's certificate has ended, or a clock is wrong.",
        "Run `learnflow-infra up`, which signs a new one; the server keeps running.",
    ),
    Cause(
        "certificate-ending",
        Exit.UNHEALTHY,
        "The server's certificate ends within 30 days.",
        "Run `learnflow-infra up`, which signs a new one; the server keeps running.",
    ),
    Cause(
        "certificate-name",
        Exit.UNHEALTHY,
        "The server's certificate is not for the name that clients use.",
        "Run `learnflow-infra up`, which signs one for all names of the Services.",
    ),
    Cause(
        "certificate-pending",
        Exit.UNHEALTHY,
        "The server has not taken up its new certificate yet.",
        "Repeat `learnflow-infra up`; a node brings a Secret's change to a pod within two minutes.",
        heals=True,
        untested="it takes a kubelet that runs commands and updates no volumes.",
    ),
    Cause(
        "tls-missing",
        Exit.UNHEALTHY,
        "The server does not offer TLS, which the connection Secret asks for.",
        "Run `learnflow-infra up`, which sets the listeners and the Secret again.",
    ),
    Cause(
        "tls-refused",
        Exit.UNHEALTHY,
        "Client and server could not agree on a TLS session.",
        "Run `learnflow-infra up`; if it stays, read the service's log with `kubectl logs`.",
    ),
    Cause(
        "credentials-missing",
        Exit.UNHEALTHY,
        "The Secret that a service starts with is not there.",
        "Run `learnflow-infra up`, which makes a new one.",
    ),
)
