"""What a diagnosis reads beyond pods: events, claims, nodes, and the end of one log. All bounded.

Whatever cannot be read is left out: a diagnosis says less then, and never fails for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from learnflow_infra.diagnosis import redaction, remedies
from learnflow_infra.diagnosis.log_excerpt import excerpt
from learnflow_infra.diagnosis.state import Evidence, State, is_ready, judge, of_service
from learnflow_infra.diagnosis.symptoms import Log, claims_of
from learnflow_infra.findings.failures import Failure
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, text, uid_of
from learnflow_infra.services import Part
from learnflow_infra.settings import Settings

T = TypeVar("T")

_SOME = 100
_LOG_BYTES = 8192
_AT_ONCE = 8


def explain(
    kube: Kube,
    settings: Settings,
    part: Part,
    workload: Object | None,
    pods: Iterable[Object],
    claims: Iterable[Object] | None = None,
) -> State:
    """The state of a part of a service with all that is known; a crash with its log's few words.

    Of the namespace's pods and claims, other people's do not matter. Claims that are not given are
    read.
    """
    state = _judged(kube, settings, part, workload, pods, claims)
    fitted = tuple(remedies.fitting(each, settings) for each in state.findings)
    return replace(state, findings=fitted)


def _judged(
    kube: Kube,
    settings: Settings,
    part: Part,
    workload: Object | None,
    pods: Iterable[Object],
    claims: Iterable[Object] | None,
) -> State:
    namespace = settings.cluster.namespace
    pods = of_service(workload or {}, pods)
    if claims is None:
        claims = _readable(lambda: kube.list("PersistentVolumeClaim", namespace))
    claims = claims_of(pods, claims)
    state = judge(part.service, workload, pods, part.pods, Evidence(claims=claims))
    if state.done or workload is None:
        return state
    evidence = gather(kube, [workload, *(each for each in pods if not _settled(each))], claims)
    state = judge(part.service, workload, pods, part.pods, evidence)
    if state.log is None:
        return state
    lines = log_excerpt(kube, namespace, state.log, lambda: redaction.of_scope(kube, namespace))
    evidence = replace(evidence, log=lines)
    return judge(part.service, workload, pods, part.pods, evidence)


def gather(kube: Kube, unsettled: Sequence[Object], claims: Sequence[Object]) -> Evidence:
    """What events and nodes say of pods that are not ready, of what makes them, and of claims."""
    items = [*unsettled, *(each for each in claims if not _settled(each))]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        events = pool.map(lambda item: _readable(lambda: _events(kube, item)), items)
        return Evidence(
            claims=claims,
            events=[each for found in events for each in found],
            nodes=_readable(lambda: _nodes(kube, unsettled)),
        )


def log_excerpt(
    kube: Kube, namespace: str, log: Log, secrets: Callable[[], set[str]]
) -> Sequence[str]:
    """The lines of a log that say why. None where it cannot be read, or what is to be hidden."""
    return _readable(lambda: _log_excerpt(kube, namespace, log, secrets()))


def _readable(read: Callable[[], Sequence[T]]) -> Sequence[T]:
    try:
        return read()
    except Failure:
        return ()


def _settled(item: Object) -> bool:
    """A pod that is ready, or a claim that is bound: its events matter no more."""
    return is_ready(item) or at(item, "status", "phase") == "Bound"


def _nodes(kube: Kube, unsettled: Sequence[Object]) -> Sequence[Object]:
    """The pods' nodes; some of all where a pod has none yet."""
    pods = [each for each in unsettled if at(each, "spec", "containers")]
    names = {text(at(each, "spec", "nodeName")) for each in pods}
    if "" in names:
        return kube.list("Node", limit=_SOME)
    return [kube.get("Node", None, name) or {} for name in names]


def _events(kube: Kube, item: Object) -> Sequence[Object]:
    """Those of one object alone, however many its neighbours have."""
    namespace = text(at(item, "metadata", "namespace"))
    fields = f"involvedObject.uid={uid_of(item)}"
    return kube.list("Event", namespace, fields=fields, limit=_SOME)


def _log_excerpt(kube: Kube, namespace: str, log: Log, secrets: set[str]) -> Sequence[str]:
    data = b""
    for lines in (50, 10, 2):  # few long lines, where many do not fit to the end
        data = kube.log(
            namespace,
            log.pod,
            log.container,
            previous=log.previous,
            lines=lines,
            most=_LOG_BYTES,
        )
        if len(data) < _LOG_BYTES:
            break
    return excerpt(data, secrets, cut=len(data) >= _LOG_BYTES)
