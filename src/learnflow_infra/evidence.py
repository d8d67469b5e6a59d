"""What a diagnosis reads beyond pods: events, claims, nodes, and the end of one log. All bounded.

Whatever cannot be read is left out: a diagnosis says less then, and never fails for it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
_TELLING = re.compile("pass|secret|token|key|credential|auth", re.IGNORECASE).search
_AT_ONCE = 8


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
    evidence = gather(kube, [workload, *(each for each in pods if not _settled(each))], claims)
    state = diagnosis.state(service.name, workload, pods, expected, evidence)
    if state.log is None:
        return state
    lines = last_words(kube, namespace, state.log, lambda: secrets(kube, namespace))
    evidence = replace(evidence, log=lines)
    return diagnosis.state(service.name, workload, pods, expected, evidence)


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


def last_words(
    kube: Kube, namespace: str, log: Log, hidden: Callable[[], set[str]]
) -> Sequence[str]:
    """The lines of a log that say why. None where it cannot be read, or what is to be hidden."""
    return _readable(lambda: _last_words(kube, namespace, log, hidden()))


def _readable(read: Callable[[], Sequence[T]]) -> Sequence[T]:
    try:
        return read()
    except (Failure, ApiError):
        return ()


def _settled(item: Object) -> bool:
    """A pod that is ready, or a claim that is bound: its events matter no more."""
    return diagnosis.is_ready(item) or item.get("status", {}).get("phase") == "Bound"


def _nodes(kube: Kube, unsettled: Sequence[Object]) -> Sequence[Object]:
    """The pods' nodes; some of all where a pod has none yet."""
    pods = [each["spec"] for each in unsettled if "containers" in each["spec"]]
    names = {each.get("nodeName", "") for each in pods}
    if "" in names:
        return kube.list("Node", limit=_SOME)
    return [kube.get("Node", None, name) or {} for name in names]


def _events(kube: Kube, item: Object) -> Sequence[Object]:
    """Those of one object alone, however many its neighbours have."""
    meta = item["metadata"]
    fields = f"involvedObject.uid={meta['uid']}"
    return kube.list("Event", meta["namespace"], fields=fields, limit=_SOME)


def _last_words(kube: Kube, namespace: str, log: Log, hidden: set[str]) -> Sequence[str]:
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
    return excerpt(data, hidden, cut=len(data) >= _LOG_BYTES)


def secrets(kube: Kube, namespace: str) -> set[str]:
    """What must not be shown. Raises where it cannot be read: then no log is shown."""
    return _hidden(
        text
        for secret in kube.list("Secret", namespace, manifests.SCOPE_SELECTOR)
        for key, text in apply.decoded(secret).items()
        if key not in _PUBLIC
    )


def secrets_of(kube: Kube, namespace: str, pods: Iterable[Object]) -> set[str]:
    """The same of any pods: what they are given of Secrets, and as variables with telling names."""
    names, telling = set[str](), []
    for pod in pods:
        names |= _secret_names(pod)
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
            variables = container.get("env", ())
            telling += [each.get("value", "") for each in variables if _TELLING(each["name"])]
    found = [kube.get("Secret", namespace, name) for name in sorted(names)]
    given = [text for each in found if each for text in apply.decoded(each).values()]
    return _hidden((*given, *telling))


def _secret_names(pod: Object) -> set[str]:
    """Those that a pod's variables and volumes are filled from, wherever the reference stands."""
    found, left = set[str](), [pod["spec"]]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            for key in ("secretKeyRef", "secretRef", "secret"):
                reference = each.get(key) or {}
                found |= {reference[name] for name in ("name", "secretName") if name in reference}
            left += each.values()
        elif isinstance(each, list):
            left += each
    return found


def _hidden(texts: Iterable[str]) -> set[str]:
    values = {value for text in texts for value in (*text.splitlines(), quote(text, safe=""))}
    return {each.strip() for each in values if len(each.strip()) >= _SHORTEST_SECRET}
