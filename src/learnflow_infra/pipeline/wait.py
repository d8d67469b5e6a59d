"""Wait until a part of a service is done, or surely failed: by a watch, within a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from learnflow_infra.diagnosis.evidence import explain
from learnflow_infra.diagnosis.reasons import FOREVER
from learnflow_infra.diagnosis.state import State, judge
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, name_of
from learnflow_infra.services import Part
from learnflow_infra.settings import Settings

_ROUND_SECONDS = 2.5  # a watch is asked for in whole seconds
_LAST_WORDS_SECONDS = 3.0  # kept to say why when the time is over
_OLD_SECONDS = 15.0


def wait(
    kube: Kube,
    settings: Settings,
    part: Part,
    deadline: Deadline,
    on_progress: Callable[[State], None],
    *,
    changed: bool,
) -> State:
    """The state once it is done. Raises Failure with the cause, else `deadline-passed`.

    `changed` is whether the workload was just written. A watch that ends is begun again; a state
    that may heal is waited for.
    """
    seen: tuple[int, int] | None = None
    last = State(0, 0, False)
    grace = _Grace(changed)
    left = deadline.remaining()
    until = deadline.within(max(left - _LAST_WORDS_SECONDS, left / 2))
    while not until.passed():
        for last in _round(kube, settings, part, deadline):
            if (last.ready, last.total) != seen:
                seen = (last.ready, last.total)
                on_progress(last)
            if last.done:
                return last
            if grace.over(last):
                raise Failure(*_explained(kube, settings, part, last).findings)
    last = _explained(kube, settings, part, last)
    message = f"{last.ready} of {last.total} pods were ready after {deadline.seconds:g} s"
    passed = finding("deadline-passed", message, service=part.service)
    if any(each.grace < FOREVER for each in last.symptoms):
        raise Failure(*last.findings)
    raise Failure(passed, *last.findings)


def _round(kube: Kube, settings: Settings, part: Part, deadline: Deadline) -> Iterator[State]:
    """The state at each change for a while; at the end with what events say of what is held up."""
    namespace = settings.cluster.namespace
    pods: dict[str, Object] = {}
    step = deadline.within(_ROUND_SECONDS)
    for event in kube.watch("Pod", namespace, manifests.selector_text(part.name), step):
        pod = event["object"]
        if event["type"] == "DELETED":
            pods.pop(name_of(pod), None)
        else:
            pods[name_of(pod)] = pod
        workload = kube.get("StatefulSet", namespace, part.name)
        state = judge(part.service, workload, pods.values(), part.pods)
        if state.final or not state.unexplained:
            yield state
    workload = kube.get("StatefulSet", namespace, part.name)
    state = judge(part.service, workload, pods.values(), part.pods)
    if state.unexplained:
        state = explain(kube, settings, part, workload, list(pods.values()))
    yield state


def _explained(kube: Kube, settings: Settings, part: Part, last: State) -> State:
    """The same state with its evidence, or as it was where that says no more."""
    namespace = settings.cluster.namespace
    try:
        workload = kube.get("StatefulSet", namespace, part.name)
        pods = kube.list("Pod", namespace, manifests.selector_text(part.name))
        state = explain(kube, settings, part, workload, pods)
    except Failure:
        return last
    return state if state.symptoms else last


class _Grace:
    """For how long each trouble has been seen."""

    def __init__(self, changed: bool) -> None:
        self._since: dict[str, float] = {}
        # What an unchanged workload shows at first is of before this command, which may have
        # mended the cause: the next try is waited for. The scheduler alone tries again at once.
        self._old: set[str] | None = set() if changed else None

    def over(self, state: State) -> bool:
        """Whether the state has lasted for longer than it takes to heal."""
        now = time.monotonic()
        codes = {each.code for each in state.symptoms}
        self._since = {code: self._since.get(code, now) for code in codes}
        if self._old is None:
            at_once = ("unschedulable", "scheduler")
            self._old = {code for code in codes if not code.startswith(at_once)}
        self._old &= codes
        return any(
            now - self._since[each.code]
            >= max(each.grace, _OLD_SECONDS if each.code in self._old else 0)
            for each in state.symptoms
        )
