"""The proof of one service: its pods, its volumes, and a round trip of data by both routes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from learnflow_infra.diagnosis.evidence import explain
from learnflow_infra.diagnosis.symptoms import claims_of
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.findings.verdict import Verdict
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object
from learnflow_infra.kubernetes.routes import FromHost, InCluster, on_localhost
from learnflow_infra.pipeline import credentials
from learnflow_infra.services import Access, Secrets, Service
from learnflow_infra.settings import Settings

ROUND_TRIP_SECONDS = 20.0


def prove(
    kube: Kube,
    settings: Settings,
    service: Service,
    deadline: Deadline,
    secrets: Secrets | None = None,
) -> Verdict:
    """Prove a service, or say in the verdict's findings why it is not proved.

    It writes nothing but its probe data. A cluster that cannot be reached is raised, not judged.
    """
    started = time.monotonic()
    verdict = Verdict(service.name)
    try:
        _prove(kube, settings, service, deadline, verdict, secrets)
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
) -> None:
    namespace = settings.cluster.namespace
    with ThreadPoolExecutor(3) as pool:
        selector = manifests.selector_text(service.name)
        listed = pool.submit(kube.list, "Pod", namespace, selector)
        claimed = pool.submit(kube.list, "PersistentVolumeClaim", namespace)
        workload = pool.submit(kube.get, "StatefulSet", namespace, service.name).result()
        pods, claims = listed.result(), claimed.result()
    state = explain(kube, settings, service, workload, pods, claims)
    verdict.ready, verdict.total = state.ready, state.total
    verdict.image = _image(pods)
    if not state.done:
        ready = f"{state.ready} of {state.total} pods are Running and Ready"
        raise Failure(
            *(state.findings or (finding("pods-not-ready", ready, service=service.name),))
        )
    if (there := len(claims_of(pods, claims))) < state.total:
        message = f"{there} of {state.total} volumes are there"
        raise Failure(finding("volume-unbound", message, service=service.name))
    if secrets is None:
        secrets = credentials.read(kube, settings, service)
    verdict.endpoint = ":".join(secrets.connection.get(key, "") for key in ("host", "port"))

    step = deadline.within(ROUND_TRIP_SECONDS, "the round trip", code="service-slow")
    access = Access(kube, settings, secrets, step)
    pod = service.pods(settings)[0]
    with (
        InCluster(
            kube, namespace, pod, service.name, service.proof_connections(settings)
        ) as inside,
        ThreadPoolExecutor(2) as pool,
    ):
        host = FromHost(kube, namespace, on_localhost(service.host_ports(settings)))
        proofs = [pool.submit(service.prove, access, route) for route in (inside, host)]
        for proof in proofs:
            proof.result()


def _image(pods: Sequence[Object]) -> str:
    """Where the pods' image came from: a pulled one has its registry's digest, a loaded one has
    none."""
    for pod in pods:
        for container in pod.get("status", {}).get("containerStatuses") or ():
            if identity := str(container.get("imageID") or ""):
                return "official" if "@" in identity else "compatible"
    return ""
