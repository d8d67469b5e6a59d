"""`status`: a table of what is there, without proof."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from learnflow_infra import cluster
from learnflow_infra.commands import Request, cluster_line, reported_cluster
from learnflow_infra.diagnosis.state import judge
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import x509
from learnflow_infra.kubernetes import manifests, secrets
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import (
    Object,
    at,
    condition,
    mapping,
    name_of,
    objects,
    text,
)
from learnflow_infra.pipeline import lease
from learnflow_infra.pipeline.scope import Key, scoped
from learnflow_infra.report import Report
from learnflow_infra.services import Service
from learnflow_infra.services.shared import authority


def status(request: Request) -> Report:
    """One row a pod, with its volume and image. Exit 0 whatever the state: this judges nothing."""
    settings, deadline = request.settings, request.deadline
    namespace = settings.cluster.namespace
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    rows: list[dict[str, Any]] = []
    with request.api(provider) as kube:
        x509.load_library()  # while kubectl comes up
        there = scoped(kube, namespace)
        pods = kube.list("Pod", namespace, manifests.SCOPE_SELECTOR)
        for service in request.services:
            workload = there.get(("StatefulSet", service.name))
            state = judge(service.name, workload, pods, len(service.pods(settings)))
            own = manifests.selector(service.name).items()
            claims = {
                name: claim
                for (kind, name), claim in there.items()
                if kind == "PersistentVolumeClaim"
                and own <= mapping(at(claim, "metadata", "labels")).items()
            }
            rows.append(
                {
                    "service": service.name,
                    "deployed": workload is not None,
                    "pods": {"ready": state.ready, "total": state.total},
                    "image": _image(workload) or settings.services[service.name].image,
                    "certificate_ends": _certificate_ends(there, service, workload),
                    "volumes": {
                        name: text(at(claim, "status", "phase")) or "Unknown"
                        for name, claim in sorted(claims.items())
                    },
                }
            )
        unready = _unready(kube)
        notes = lease.under_way(kube, settings)
    lines = [f"{'SERVICE':<9} {'PODS':<5} {'IMAGE':<22} {'ENCRYPTION':<16} VOLUMES"]
    for row in rows:
        counts = f"{row['pods']['ready']}/{row['pods']['total']}" if row["deployed"] else "-"
        volumes = ", ".join(f"{name} {phase}" for name, phase in row["volumes"].items()) or "-"
        lines.append(
            f"{row['service']:<9} {counts:<5} {row['image']:<22} {_encryption(row):<16} {volumes}"
        )
    if unready:
        lines.append(f"not Ready: {', '.join(unready)}; what is shown of its pods may be of before")
    lines += [*notes, cluster_line(provider, settings)]
    return Report(
        "status",
        cluster=reported_cluster(provider, settings),
        lines=lines,
        details={"status": rows, "unready_nodes": unready, "notes": notes},
    )


def _unready(kube: Kube) -> list[str]:
    """Nodes that are not Ready; none where the user may not list them."""
    try:
        nodes = kube.list("Node")
    except Failure as failure:
        if failure.of_cluster:
            raise
        return []
    return [name_of(each) for each in nodes if condition(each, "Ready") != "True"]


def _image(workload: Object | None) -> str:
    """The image that the pods run, or shall run next."""
    (container, *_) = (*objects(at(workload, "spec", "template", "spec", "containers")), {})
    return text(container.get("image"))


def _certificate_ends(
    there: Mapping[Key, Object], service: Service, workload: Object | None
) -> str | None:
    """The day on which the certificate of a service's server ends; None where it has none."""
    name = authority.server_secret(service.name)
    volumes = objects(at(workload, "spec", "template", "spec", "volumes"))
    if not any(at(each, "secret", "secretName") == name for each in volumes):
        return None
    values = secrets.decoded(there.get(("Secret", name), {}))
    ends = x509.expires_at(values.get("tls.crt", ""))
    return str(ends.date()) if ends else "unknown"


def _encryption(row: Mapping[str, Any]) -> str:
    if not row["deployed"]:
        return "-"
    return f"until {row['certificate_ends']}" if row["certificate_ends"] else "OFF"
