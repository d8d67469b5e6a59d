"""The proof of one service: its pods, its volumes, and a round trip of data by both routes: from
its client's pod, and from the host."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from learnflow_infra.diagnosis.evidence import explain
from learnflow_infra.diagnosis.shut_out import shut_out
from learnflow_infra.diagnosis.state import State, of_service
from learnflow_infra.diagnosis.symptoms import claims_of
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, by_name
from learnflow_infra.kubernetes.routes import FromHost, InCluster, on_localhost
from learnflow_infra.pipeline import credentials
from learnflow_infra.pipeline.scope import terminating
from learnflow_infra.services import Access, Secrets, Service, client, servers
from learnflow_infra.settings import Settings

ROUND_TRIP_SECONDS = 20.0


def prove(
    kube: Kube,
    settings: Settings,
    service: Service,
    deadline: Deadline,
    secrets: Secrets | None = None,
    outer: Future[None] | None = None,
) -> Verdict:
    """Prove a service, or say in the verdict's findings why it is not proved.

    `outer` is the round trip from the host where it has begun already (`from_host`). Nothing is
    written but probe data. A cluster that cannot be reached is raised, not judged.
    """
    started = time.monotonic()
    verdict = Verdict(service.name)
    try:
        _prove(kube, settings, service, deadline, verdict, secrets, outer)
    except Failure as failure:
        if failure.of_cluster:
            raise
        verdict.findings = failure.of(service.name)
    verdict.seconds = time.monotonic() - started
    return verdict


def _prove(
    kube: Kube,
    settings: Settings,
    service: Service,
    deadline: Deadline,
    verdict: Verdict,
    secrets: Secrets | None,
    outer: Future[None] | None,
) -> None:
    namespace = settings.cluster.namespace
    with ThreadPoolExecutor(4) as pool:
        itself = pool.submit(kube.get, "Namespace", None, namespace)
        listed = pool.submit(kube.list, "Pod", namespace, manifests.pods_text(service.name))
        claimed = pool.submit(kube.list, "PersistentVolumeClaim", namespace)
        selector = manifests.selector_text(service.name)
        workloads = by_name(pool.submit(kube.list, "StatefulSet", namespace, selector).result())
        pods, claims = listed.result(), claimed.result()
        if at(itself.result(), "metadata", "deletionTimestamp"):
            raise terminating(namespace)
    own, clients = servers(service, settings), client(service)
    state = explain(kube, settings, own, workloads.get(own.name), pods, claims)
    verdict.ready, verdict.total = state.ready, state.total
    verdict.image = _image(of_service(workloads.get(own.name) or {}, pods))
    _require_done(state, "pods are")
    if clients.name not in workloads:
        raise Failure(no_client(service))
    _require_done(
        explain(kube, settings, clients, workloads[clients.name], pods, claims),
        f"pods of {clients.name} are",
    )
    if (there := len(claims_of(pods, claims))) < state.total:
        message = f"{there} of {state.total} volumes are there"
        raise Failure(finding("volume-unbound", message, service=service.name))
    if secrets is None:
        secrets = credentials.read(kube, settings, service)
    verdict.endpoint = ":".join(secrets.connection.get(key, "") for key in ("host", "port"))

    access = _access(kube, settings, secrets, deadline)
    pod, dials = f"{clients.name}-0", service.proof_connections(settings)
    with (
        InCluster(kube, namespace, pod, clients.name, dials) as inside,
        ThreadPoolExecutor(2) as pool,
    ):
        inner = pool.submit(service.prove, access, inside)
        outer = outer or pool.submit(from_host, kube, settings, service, secrets, deadline)
        try:
            inner.result()
        except Failure as failure:
            if outer.exception() is None:  # the server is well: it is the client's way to it
                found = shut_out(kube, settings, service, failure.findings[0])
                raise Failure(found, *failure.findings[1:]) from failure
            raise
        outer.result()


def from_host(
    kube: Kube, settings: Settings, service: Service, secrets: Secrets, deadline: Deadline
) -> None:
    """The round trip from the host. Raises Failure with the cause."""
    host = FromHost(kube, settings.cluster.namespace, on_localhost(service.host_ports(settings)))
    service.prove(_access(kube, settings, secrets, deadline), host)


def _access(kube: Kube, settings: Settings, secrets: Secrets, deadline: Deadline) -> Access:
    step = deadline.within(ROUND_TRIP_SECONDS, "the round trip", code="service-slow")
    return Access(kube, settings, secrets, step)


def no_client(service: Service) -> Finding:
    """The finding of a deployment without the client, such as an earlier version made."""
    message = f"there is no StatefulSet {client(service).name}"
    return finding("client-missing", message, service=service.name)


def _require_done(state: State, what: str) -> None:
    if not state.done:
        ready = f"{state.ready} of {state.total} {what} Running and Ready"
        raise Failure(*(state.findings or (finding("pods-not-ready", ready),)))


def _image(pods: Sequence[Object]) -> str:
    """Where the pods' image came from: a pulled one has its registry's digest, a loaded one has
    none."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            if identity := str(container.get("imageID") or ""):
                return "official" if "@" in identity else "compatible"
    return ""
