"""All that the user may want beside the verdict: full findings, objects, events and logs.

Bounded as well, without control codes, and without any secret that a Secret of the scope or one
that a pod is given holds. Where those cannot be read, no log is shown.
"""

from __future__ import annotations

import os
import platform
import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learnflow_infra import cluster
from learnflow_infra.diagnosis import redaction, symptoms, workloads
from learnflow_infra.diagnosis.redaction import redacted
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, name_of, objects, text
from learnflow_infra.settings import Settings

MOST_BYTES = 1_000_000
MOST_SHOWN_BYTES = 32_000
_SECONDS = 15.0
_MOST_EVENTS, _MOST_PODS = 500, 20
_LOG_LINES, _LOG_BYTES = 200, 65536
_LONGEST_SECRET = 4096
_AT_ONCE = 8
_KINDS = ("Node", *workloads.KINDS, "Pod", "PersistentVolumeClaim", "Service")
# Of an object's description only this: variables and annotations may hold secrets.
_META = ("name", "creationTimestamp", "deletionTimestamp", "generation", "labels")
_SPEC = ("replicas", "nodeName", "taints", "unschedulable", "storageClassName", "selector", "ports")


def collect(
    argv: Sequence[str],
    settings: Settings,
    findings: Iterable[Finding],
    changed: Sequence[str] = (),
) -> str:
    """The text, in the order of use. Never raises Failure: what cannot be read is said."""
    lines = [
        f"learnflow-infra {shlex.join(argv)}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC, {platform.platform()}",
        "",
        "== findings",
    ]
    for each in findings:
        lines += [f"{each.code}  {each.service or '-'}: {each.message}", f"  -> {each.remedy}"]
    if changed:
        lines += ["", "== changed", *changed]
    longest_first: Sequence[str] = ()
    deadline = Deadline(_SECONDS)
    try:
        provider = cluster.choose(settings.cluster, deadline)
        with Kube(provider.kubectl, provider.context, deadline) as kube:
            secrets, sections = _cluster(kube, settings.cluster.namespace)
            longest_first = sorted(secrets, key=len, reverse=True)
            lines += sections
    except Failure as error:
        lines += ["", f"the cluster could not be read: {error}"]
    text = "\n".join(redacted(line, longest_first).rstrip() for line in lines) + "\n"
    return bounded(text, MOST_BYTES)


def bounded(text: str, most: int) -> str:
    """The text's beginning, and a word where it is cut."""
    data = text.encode()
    if len(data) <= most:
        return text
    return data[: most - 20].decode(errors="ignore") + "\n… cut here\n"


def _cluster(kube: Kube, namespace: str) -> tuple[set[str], list[str]]:
    """What is to be hidden in all of it, and the lines."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        listed = pool.map(lambda kind: _listed(kube, kind, namespace), _KINDS)
        found = dict(zip(_KINDS, listed, strict=True))
    pods = sorted(found["Pod"] or (), key=symptoms.is_ready)[:_MOST_PODS]
    lines = [*_section("events", lambda: _events(kube, namespace))]
    for kind, items in found.items():
        lines += ["", f"== {kind}", *_described(items)]
    try:
        secrets = redaction.of_scope(kube, namespace) | redaction.of_pods(kube, namespace, pods)
    except Failure as error:
        return set(), [*lines, "", f"no logs, since what they must not show is not known: {error}"]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for log in pool.map(lambda one: _section(one[0], one[1]), _logs(kube, namespace, pods)):
            lines += log
    return secrets, lines


def _section(title: str, read: Callable[[], Iterable[str]]) -> list[str]:
    try:
        lines = list(read())
    except Failure as error:
        lines = [f"not read: {error}"]
    return ["", f"== {title}", *lines]


def _listed(kube: Kube, kind: str, namespace: str) -> Sequence[Object] | None:
    """None where it may not be read. Raises Failure where no cluster answers."""
    try:
        return kube.list(kind, None if kind == "Node" else namespace)
    except Failure as failure:
        if failure.of_cluster:
            raise
        return None


def _described(items: Sequence[Object] | None) -> list[str]:
    if items is None:
        return ["not read"]
    return manifests.to_yaml(_brief(each) for each in items).splitlines() if items else []


def _brief(item: Object) -> dict[str, Any]:
    brief: dict[str, Any] = _of(item.get("metadata"), _META) | _of(item.get("spec"), _SPEC)
    pod = at(item, "spec", "template", "spec") or item.get("spec")
    brief["containers"] = [
        _of(each, ("name", "image", "resources"))
        for kind in ("initContainers", "containers")
        for each in objects(at(pod, kind))
    ]
    return brief | {"status": item.get("status", {})}


def _of(value: Any, keys: Sequence[str]) -> dict[str, Any]:
    return {key: value[key] for key in keys if key in value} if isinstance(value, dict) else {}


def _events(kube: Kube, namespace: str) -> Iterator[str]:
    events = kube.list("Event", namespace, limit=_MOST_EVENTS)
    for each in sorted(events, key=symptoms.order, reverse=True):
        about = at(each, "involvedObject")
        message = " ".join(text(each.get("message")).split())
        yield (
            f"{symptoms.when(each)} {each.get('type')} {each.get('reason')} "
            f"{at(about, 'kind')}/{at(about, 'name')}: {message}"
        )


def _logs(
    kube: Kube, namespace: str, pods: Iterable[Object]
) -> Iterator[tuple[str, Callable[[], Iterable[str]]]]:
    """Each container's last lines, and those of the run before where there was one."""
    for pod in pods:
        name = name_of(pod)
        for kind in ("initContainerStatuses", "containerStatuses"):
            for each in objects(at(pod, "status", kind)):
                container = text(each.get("name"))
                for previous in (True, False) if each.get("restartCount") else (False,):
                    run = " before its last restart" if previous else ""
                    read = _reader(kube, namespace, name, container, previous=previous)
                    yield f"log of {name}, container {container}{run}", read


def _reader(
    kube: Kube, namespace: str, pod: str, container: str, *, previous: bool
) -> Callable[[], Iterable[str]]:
    def read() -> Iterable[str]:
        data = kube.log(
            namespace, pod, container, previous=previous, lines=_LOG_LINES, most=_LOG_BYTES
        )
        if len(data) >= _LOG_BYTES:  # cut, and perhaps within a secret
            data = data[:-_LONGEST_SECRET]
        return data.decode(errors="replace").splitlines()

    return read


# ---- its file


def unwritable(file: Path) -> str | None:
    """Why `save` could not write it."""
    if file.is_symlink() or (file.exists() and not file.is_file()):
        return "is no ordinary file"
    if not file.parent.is_dir():
        return "is in a folder that is not there"
    if not os.access(file.parent, os.W_OK | os.X_OK):
        return "is in a folder that cannot be written to"
    return None


def save(text: str, file: Path) -> None:
    """Write the file whole, for its owner alone, and never through a link.

    Raises Failure(report-unwritable).
    """
    file = file.absolute()
    try:
        paths.write(file, text)
    except OSError as error:
        message = f"{file}: {error.strerror}"
        raise Failure(finding("report-unwritable", message)) from error
