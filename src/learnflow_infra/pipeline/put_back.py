"""What ran before a change that cannot be rolled out, put back, so that its pods serve again."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, number
from learnflow_infra.kubernetes.resources import api_version
from learnflow_infra.pipeline.scope import Key, name_of
from learnflow_infra.pipeline.wait import wait
from learnflow_infra.services import Service, servers
from learnflow_infra.settings import Settings

# What the API server keeps of an object; the rest is as it was applied.
_KEPT_META = ("name", "namespace", "labels", "annotations")
_NOT_APPLIED = ("status", "metadata")


def put_back(
    kube: Kube,
    settings: Settings,
    service: Service,
    before: Mapping[Key, Object],
    changed: Collection[str],
    deadline: Deadline,
) -> str:
    """Write the service's changed objects as they were, where its pods were ready so, and wait for
    these. Returns what a person is to know of it, empty where nothing was put back."""
    workload = before.get(("StatefulSet", service.name))
    if workload is None or not _was_ready(workload):
        return ""
    namespace, said = settings.cluster.namespace, f"{service.name}: what ran before was put back"
    try:
        for item in before.values():
            labels = at(item, "metadata", "labels") or {}
            own = labels.get("app.kubernetes.io/name") == service.name
            if own and name_of(item) in changed and manifests.DATA_LABEL not in labels:
                kube.apply(_as_applied(item))
        wait(kube, settings, servers(service, settings), deadline, lambda _: None, changed=True)
    except Failure:
        return f"{said} in namespace {namespace}; its pods are not ready again yet"
    return f"{said}, and its pods are ready again"


def _was_ready(workload: Object) -> bool:
    """Whether all its pods were, of its newest revision."""
    status = workload.get("status") or {}
    replicas = number(at(workload, "spec", "replicas"))
    seen = number(status.get("observedGeneration")) >= number(
        at(workload, "metadata", "generation")
    )
    newest = status.get("currentRevision") == status.get("updateRevision")
    return seen and newest and number(status.get("readyReplicas")) == replicas > 0


def _as_applied(item: Object) -> Object:
    """An object of the API as a manifest that makes it so again."""
    meta = {key: value for key, value in item["metadata"].items() if key in _KEPT_META}
    rest = {key: value for key, value in item.items() if key not in _NOT_APPLIED}
    return rest | {"apiVersion": api_version(item["kind"]), "metadata": meta}
