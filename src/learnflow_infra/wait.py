"""Wait until a service's workload is done, or surely failed: by a watch, within a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from learnflow_infra import diagnosis, manifests
from learnflow_infra.deadline import Deadline
from learnflow_infra.failures import Failure, finding
from learnflow_infra.kube import Kube, Object
from learnflow_infra.services import Service
from learnflow_infra.settings import Settings

_STEP_SECONDS = 10.0


def wait(
    kube: Kube,
    settings: Settings,
    service: Service,
    deadline: Deadline,
    on_progress: Callable[[diagnosis.State], None],
) -> diagnosis.State:
    """The state once it is done. Raises Failure with the cause, or with `deadline-passed` after it.

    A watch that ends is begun again; a state that may heal is waited for.
    """
    seen: tuple[int, int] | None = None
    last = diagnosis.State(0, 0, False)
    while not deadline.passed():
        for last in _states(kube, settings, service, deadline):
            if (last.ready, last.total) != seen:
                seen = (last.ready, last.total)
                on_progress(last)
            if last.done:
                return last
            if last.final:
                raise Failure(*last.findings)
    said = (
        f"{service.name}: {last.ready} of {last.total} pods were ready after {deadline.seconds:g} s"
    )
    raise Failure(finding("deadline-passed", said, service=service.name), *last.findings)


def _states(
    kube: Kube, settings: Settings, service: Service, deadline: Deadline
) -> Iterator[diagnosis.State]:
    namespace = settings.cluster.namespace
    pods: dict[str, Object] = {}
    step = deadline.within(_STEP_SECONDS)
    for event in kube.watch("Pod", namespace, manifests.selector_text(service.name), step):
        pod = event["object"]
        if event["type"] == "DELETED":
            pods.pop(pod["metadata"]["name"], None)
        else:
            pods[pod["metadata"]["name"]] = pod
        workload = kube.get("StatefulSet", namespace, service.name)
        yield diagnosis.state(service.name, workload, pods.values(), len(service.pods(settings)))
