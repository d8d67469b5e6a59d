"""Wait until a part of a service is done, or surely failed: by a watch, within a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from learnflow_infra.diagnosis.evidence import explain
from learnflow_infra.diagnosis.reasons import FOREVER
from learnflow_infra.diagnosis.state import State, judge
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.objects import Object, at, name_of, objects, uid_of
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
    """The state once all pods are Ready, or serve and soon will be (`_Starts`), which it does not
    call done then. Raises Failure with the cause, else `deadline-passed`.

    `changed` is whether the workload was just written. A watch that ends is begun again; a state
    that may heal is waited for.
    """
    seen: tuple[int, int] | None = None
    last = State(0, 0, False)
    grace, starts = _Grace(changed), _Starts()
    left = deadline.remaining()
    until = deadline.within(max(left - _LAST_WORDS_SECONDS, left / 2))
    while not until.passed():
        for last, serves in _round(kube, settings, part, deadline, starts):
            if (last.ready, last.total) != seen:
                seen = (last.ready, last.total)
                on_progress(last)
            if last.done or serves:
                return last
            if grace.over(last):
                raise Failure(*_explained(kube, settings, part, last).findings)
    last = _explained(kube, settings, part, last)
    message = f"{last.ready} of {last.total} pods were ready after {deadline.seconds:g} s"
    passed = finding("deadline-passed", message, service=part.service)
    if any(each.grace < FOREVER for each in last.symptoms):
        raise Failure(*last.findings)
    raise Failure(passed, *last.findings)


def _round(
    kube: Kube, settings: Settings, part: Part, deadline: Deadline, starts: _Starts
) -> Iterator[tuple[State, bool]]:
    """The state at each change for a while, and whether it serves; at the end with what events say
    of what is held up."""
    namespace = settings.cluster.namespace
    pods: dict[str, Object] = {}
    step = deadline.within(_ROUND_SECONDS)
    for event in kube.watch("Pod", namespace, manifests.selector_text(part.name), step):
        pod = event["object"]
        if event["type"] == "DELETED":
            pods.pop(name_of(pod), None)
        else:
            pods[name_of(pod)] = pod
            starts.note(pod)
        workload = kube.get("StatefulSet", namespace, part.name)
        state = judge(part.service, workload, pods.values(), part.pods)
        if state.final or not state.unexplained:
            serving = judge(part.service, workload, starts.served(pods.values()), part.pods)
            yield state, serving.done
    workload = kube.get("StatefulSet", namespace, part.name)
    state = judge(part.service, workload, pods.values(), part.pods)
    if state.unexplained:
        state = explain(kube, settings, part, workload, list(pods.values()))
    yield state, False


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


class _Starts:
    """The pods whose startup probe succeeded while they were watched: they serve.

    That they are Ready, the kubelet says up to a second later: it first looks at all containers
    again (GetNewerThan in its pod workers).
    """

    def __init__(self) -> None:
        self._starting: set[str] = set()
        self._serving: set[str] = set()

    def note(self, pod: Object) -> None:
        uid = uid_of(pod)
        if not _started(pod):
            self._starting.add(uid)
            self._serving.discard(uid)
        elif uid in self._starting:
            self._starting.remove(uid)
            self._serving.add(uid)

    def served(self, pods: Iterable[Object]) -> list[Object]:
        """The same pods, those that serve as Ready ones."""
        ready = {"conditions": [{"type": "Ready", "status": "True"}]}
        return [
            {**pod, "status": {**pod["status"], **ready}} if uid_of(pod) in self._serving else pod
            for pod in pods
        ]


def _started(pod: Object) -> bool:
    statuses = list(objects(at(pod, "status", "containerStatuses")))
    return bool(statuses) and all(each.get("started") is True for each in statuses)


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
