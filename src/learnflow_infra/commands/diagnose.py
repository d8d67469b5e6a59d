"""`diagnose`: what is wrong in a namespace, of the services and of all else. It writes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from learnflow_infra import cluster
from learnflow_infra.commands import Request, cluster_line, reported_cluster
from learnflow_infra.diagnosis import clients, evidence, redaction, workloads
from learnflow_infra.diagnosis.state import Evidence, State, findings_of, is_ready, merged
from learnflow_infra.diagnosis.symptoms import Symptom, claims_of
from learnflow_infra.diagnosis.workloads import Objects, Workload
from learnflow_infra.findings.failures import Failure, Finding, finding, some
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, name_of
from learnflow_infra.pipeline import credentials, lease
from learnflow_infra.pipeline.prove import no_client
from learnflow_infra.pipeline.scope import terminating
from learnflow_infra.report import Report
from learnflow_infra.services import Service, client, servers
from learnflow_infra.settings import Settings

_KINDS = (*workloads.KINDS, "Pod", "PersistentVolumeClaim", "Service")
_ENDED = ("Succeeded", "Failed")
_MOST_CAUSES = 5
_MOST_NAMED = 4
_MOST_LOOKED_AT = 24
_MOST_OF_ONE = 2


def diagnose(request: Request) -> Report:
    """Judge the services' pods as `verify` does, and each other workload of the namespace.

    In one that --namespace names the services need not be.
    """
    settings, deadline = request.settings, request.deadline
    named = request.options["namespace"] is not None
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    with request.api(provider) as kube:
        _require(kube, settings.cluster.namespace, named=named)
        listed = kube.list_each(_KINDS, settings.cluster.namespace)
        states = _services(request, settings, kube, listed, always=not named)
        others = [each for each in workloads.found(listed) if not _is_service(each.kind, each.item)]
        findings = [each for state in states for each in state.findings]
        if states:
            secrets = kube.list("Secret", settings.cluster.namespace, manifests.SCOPE_SELECTOR)
            findings += clients.findings(settings, others, secrets)
        notes = lease.under_way(kube, settings) if states else []
        findings += _others(kube, settings.cluster.namespace, listed, others)
    living = [each for each in listed["Pod"] if at(each, "status", "phase") not in _ENDED]
    unready = sorted(name_of(each) for each in living if not is_ready(each))
    ready = len(living) - len(unready)
    whole = not findings and not unready
    lead = "nothing wrong" if whole else f"namespace {settings.cluster.namespace}"
    line = f"{lead}: {ready} of {len(living)} pods ready"
    if unready and not findings:
        line += f", no cause is known yet of {_few(unready)}"
    return Report(
        "diagnose",
        cluster=reported_cluster(provider, settings),
        findings=findings,
        lines=[
            f"{line}, {len(states)} services, {len(others)} other workloads",
            *notes,
            cluster_line(provider, settings),
        ],
        details={
            "pods": {"ready": ready, "total": len(living)},
            "workloads": len(others),
            "notes": notes,
        },
    )


def _few(names: Sequence[str]) -> str:
    return some(names, _MOST_NAMED)


def _require(kube: Kube, namespace: str, *, named: bool) -> None:
    found = kube.get("Namespace", None, namespace)
    if found is None:
        if named:
            raise Failure(finding("namespace-missing", f"there is no namespace {namespace}"))
    elif at(found, "metadata", "deletionTimestamp"):
        raise terminating(namespace)


def _is_service(kind: str, item: Object) -> bool:
    return kind == "StatefulSet" and manifests.in_scope(item)


def _services(
    request: Request, settings: Settings, kube: Kube, listed: Objects, *, always: bool
) -> Sequence[State]:
    """Of the services that are there; of those that are not, where they are `always` expected."""
    own = {
        name_of(each): each for each in listed["StatefulSet"] if _is_service("StatefulSet", each)
    }
    found = []
    for service in request.services:
        workload = own.get(service.name)
        if workload or always:
            pods, claims = listed["Pod"], listed["PersistentVolumeClaim"]
            part = servers(service, settings)
            state = evidence.explain(kube, settings, part, workload, pods, claims)
            if workload:
                findings = state.findings or _of_client(kube, settings, service, own, pods)
                findings = (*findings, *_of_secrets(kube, settings, service))
                state = replace(state, findings=findings)
            found.append(state)
    return found


def _of_client(
    kube: Kube,
    settings: Settings,
    service: Service,
    own: Mapping[str, Object],
    pods: Sequence[Object],
) -> tuple[Finding, ...]:
    part = client(service)
    if part.name not in own:
        return (no_client(service),)
    return evidence.explain(kube, settings, part, own[part.name], pods, ()).findings


def _of_secrets(kube: Kube, settings: Settings, service: Service) -> Sequence[Finding]:
    """What is wrong with what applications bind to."""
    try:
        credentials.read(kube, settings, service)
    except Failure as failure:
        if failure.of_cluster:
            raise
        return failure.of(service.name)
    return ()


def _others(
    kube: Kube, namespace: str, listed: Objects, others: Sequence[Workload]
) -> Sequence[Finding]:
    """What is wrong with the other workloads, with the log of the first that has one."""
    sample = [item for each in others for item in each.unsettled[:_MOST_OF_ONE]]
    sample = sample[:_MOST_LOOKED_AT]
    claims = claims_of(sample, listed["PersistentVolumeClaim"])
    known = evidence.gather(kube, sample, claims) if sample else Evidence()
    now = datetime.now(UTC)
    found = [symptom for each in others for symptom in workloads.symptoms(each, known, now)]
    services = [each for each in listed["Service"] if not manifests.in_scope(each)]
    found += workloads.unserved(services, listed)
    causes = merged(found, _MOST_CAUSES)
    return findings_of(None, causes, _log_excerpt(kube, namespace, listed, causes))


def _log_excerpt(
    kube: Kube, namespace: str, listed: Objects, symptoms: Sequence[Symptom]
) -> Sequence[str]:
    log = next((each.log for each in symptoms if each.log), None)
    if log is None:
        return ()
    pod = next(each for each in listed["Pod"] if name_of(each) == log.pod)
    return evidence.log_excerpt(
        kube, namespace, log, lambda: redaction.of_pods(kube, namespace, [pod])
    )
