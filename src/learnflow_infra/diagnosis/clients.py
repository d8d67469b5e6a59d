"""What keeps the namespace's own applications from the services, as a pure function of what the API
showed: their pods' labels, and the age of what their environment was made of."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from learnflow_infra.diagnosis.workloads import Workload
from learnflow_infra.findings.failures import Finding, finding, some
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.objects import Object, at, name_of, objects, text
from learnflow_infra.settings import Settings

_MOST_NAMED = 3


def findings(
    settings: Settings, workloads: Sequence[Workload], secrets: Sequence[Object]
) -> Iterator[Finding]:
    """Of the workloads that are clients by the connection Secrets which they use."""
    connections = {name_of(each) for each in secrets if manifests.is_connection(each)}
    wanted = settings.security.client_labels
    for workload in workloads:
        used = connections & {name for pod in workload.pods for name in _used(pod)}
        lacking = _lacking(workload.pods, wanted)
        if used and lacking:
            label = ",".join(f"{key}={value}" for key, value in lacking.items())
            named = some(sorted(used), _MOST_NAMED)
            message = f"{workload.name} uses the Secret {named}; its pods lack {label}"
            remedy = f"Run `{_labelling(settings, workload, lacking)}`."
            yield finding("client-unlabelled", message, remedy=remedy)
    yield from outdated(settings, workloads, secrets)


def outdated(
    settings: Settings, workloads: Iterable[Workload], secrets: Iterable[Object]
) -> Iterator[Finding]:
    """Of those whose environment is from before the login of a connection Secret was changed."""
    changed = {name_of(each): _moment(manifests.login_changed(each)) for each in secrets}
    for workload in workloads:
        old = {
            name
            for pod in workload.pods
            for container, names in _in_environment(pod)
            for name in names
            if (since := changed.get(name)) and (began := _began(pod, container)) and began < since
        }
        if old:
            named = some(sorted(old), _MOST_NAMED)
            message = f"{workload.name} runs with the login that {named} had before"
            remedy = _restarting(settings, workload)
            yield finding("client-login-old", message, remedy=remedy)


def _used(pod: Object) -> set[str]:
    """The Secrets that a pod takes values from or mounts."""
    found = {name for _, names in _in_environment(pod) for name in names}
    for volume in objects(at(pod, "spec", "volumes")):
        found.add(text(at(volume, "secret", "secretName")))
        for source in objects(at(volume, "projected", "sources")):
            found.add(text(at(source, "secret", "name")))
    return found - {""}


def _in_environment(pod: Object) -> Iterator[tuple[str, set[str]]]:
    """Each container and the Secrets that its environment is made of."""
    for container in objects(at(pod, "spec", "containers")):
        single = objects(container.get("env"))
        whole = objects(container.get("envFrom"))
        names = {text(at(each, "valueFrom", "secretKeyRef", "name")) for each in single}
        names |= {text(at(each, "secretRef", "name")) for each in whole}
        yield name_of({"metadata": container}), names - {""}


def _began(pod: Object, container: str) -> datetime | None:
    for status in objects(at(pod, "status", "containerStatuses")):
        if status.get("name") == container:
            return _moment(text(at(status, "state", "running", "startedAt")))
    return None


def _moment(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        return None


def _lacking(pods: Iterable[Object], wanted: Mapping[str, str]) -> dict[str, str]:
    labels = [at(pod, "metadata", "labels") or {} for pod in pods]
    return {k: v for k, v in wanted.items() if any(each.get(k) != v for each in labels)}


def _labelling(settings: Settings, workload: Workload, labels: Mapping[str, str]) -> str:
    kubectl = ("kubectl", "-n", settings.cluster.namespace)
    if workload.kind == "Pod":
        pairs = [f"{key}={value}" for key, value in labels.items()]
        return shlex.join((*kubectl, "label", workload.name, *pairs, "--overwrite"))
    patch = {"spec": {"template": {"metadata": {"labels": dict(labels)}}}}
    said = json.dumps(patch, separators=(",", ":"))
    return shlex.join((*kubectl, "patch", workload.name, "--patch", said))


def _restarting(settings: Settings, workload: Workload) -> str:
    kubectl = ("kubectl", "-n", settings.cluster.namespace)
    if workload.kind in ("Deployment", "StatefulSet", "DaemonSet"):
        return f"Run `{shlex.join((*kubectl, 'rollout', 'restart', workload.name))}`."
    return f"Run `{shlex.join((*kubectl, 'delete', workload.name))}`, and make it anew."
