"""What a diagnosis reads beyond pods: events, claims, nodes, and the end of one log. All bounded.

Whatever cannot be read is left out: a diagnosis says less then, and never fails for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from learnflow_infra import apply, diagnosis, manifests
from learnflow_infra.diagnosis import Evidence, State
from learnflow_infra.excerpt import excerpt
from learnflow_infra.failures import Failure
from learnflow_infra.kube import ApiError, Kube, Object
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings
from learnflow_infra.symptoms import Log

T = TypeVar("T")

_SOME = 100
_LOG_BYTES = 8192
# Values of a connection Secret that are no secrets, and would only blur what is said.
_PUBLIC = {"type", "provider", "host", "port", "username", "database", "dbname"}
_PUBLIC |= {"bootstrap.servers", "bootstrap-servers", "security.protocol", "sasl.mechanism"}
_SHORTEST_SECRET = 6


def explain(
    kube: Kube,
    settings: Settings,
    service: Service,
    workload: Object | None,
    pods: Iterable[Object],
) -> State:
    """The state of a service with all that is known of it; a crash with its log's few words."""
    namespace, pods = settings.cluster.namespace, list(pods)
    expected = len(service.pods(settings))
    state = diagnosis.state(service.name, workload, pods, expected)
    if state.done or workload is None:
        return state
    selector = manifests.selector_text(service.name)
    claims = _readable(lambda: kube.list("PersistentVolumeClaim", namespace, selector))
    unsettled = [workload, *(each for each in (*pods, *claims) if not _settled(each))]
    evidence = Evidence(
        claims=claims,
        events=_readable(lambda: [each for item in unsettled for each in _events(kube, item)]),
        nodes=_readable(lambda: _nodes(kube, pods)),
    )
    state = diagnosis.state(service.name, workload, pods, expected, evidence)
    if state.log is None:
        return state
    log = state.log
    lines = _readable(lambda: _last_words(kube, namespace, log))
    evidence = replace(evidence, log=lines)
    return diagnosis.state(service.name, workload, pods, expected, evidence)


def _readable(read: Callable[[], Sequence[T]]) -> Sequence[T]:
    try:
        return read()
    except (Failure, ApiError):
        return ()


def _settled(item: Object) -> bool:
    """A pod that is ready, or a claim that is bound: its events matter no more."""
    return diagnosis.is_ready(item) or item.get("status", {}).get("phase") == "Bound"


def _nodes(kube: Kube, pods: Sequence[Object]) -> Sequence[Object]:
    """The pods' nodes; some of all where a pod has none yet."""
    names = {each["spec"].get("nodeName", "") for each in pods if not _settled(each)}
    if "" in names:
        return kube.list("Node", limit=_SOME)
    return [kube.get("Node", None, name) or {} for name in names]


def _events(kube: Kube, item: Object) -> Sequence[Object]:
    """Those of one object alone, however many its neighbours have."""
    meta = item["metadata"]
    fields = f"involvedObject.uid={meta['uid']}"
    return kube.list("Event", meta["namespace"], fields=fields, limit=_SOME)


def _last_words(kube: Kube, namespace: str, log: Log) -> Sequence[str]:
    secrets = _secrets(kube, namespace)
    data = b""
    for lines in (50, 10):  # few long lines, where many do not fit to the end
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


def _secrets(kube: Kube, namespace: str) -> set[str]:
    """What must not be shown. Raises where it cannot be read: then no log is shown."""
    values = {
        value
        for secret in kube.list("Secret", namespace, manifests.SCOPE_SELECTOR)
        for key, text in apply.decoded(secret).items()
        if key not in _PUBLIC
        for value in (*text.splitlines(), quote(text, safe=""))
    }
    return {each.strip() for each in values if len(each.strip()) >= _SHORTEST_SECRET}
