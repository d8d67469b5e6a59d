"""What a cluster's objects may hold: anything, and nothing that is read fails for it."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from learnflow_infra.cluster.policies import enforcement
from learnflow_infra.diagnosis import evidence, redaction, support_bundle, workloads
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.pipeline import capacity, volumes

KEYS: tuple[str, ...] = (
    "metadata",
    "name",
    "namespace",
    "uid",
    "labels",
    "spec",
    "status",
    "containers",
    "env",
)
KEYS += ("resources", "requests", "cpu", "memory", "overhead", "allocatable", "hostPath")
KEYS += ("template", "image", "args", "secretKeyRef", "containerStatuses", "nodeName", "phase")
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.lists(st.dictionaries(st.sampled_from(KEYS), ODD, max_size=4), max_size=3)
NULLS: list[Any] = [dict.fromkeys(KEYS)]


class _Empty:
    """A Kube in whose cluster nothing is."""

    def get(self, *_: object) -> None:
        return None

    def list(self, *_: object, **__: object) -> list[Any]:
        return []


@given(OBJECTS)
@example(NULLS)
@example(
    [
        {
            "metadata": {"name": "kindnet"},
            "spec": {"template": {"spec": {"containers": [{"args": 1}]}}},
        }
    ]
)
@example([{"spec": {"containers": [{"env": [{"value": 1}]}], "secret": "x"}}])
def test_odd_objects_are_read(items: list[Any]) -> None:
    kube = cast(Kube, _Empty())
    redaction.of_pods(kube, "learnflow", items)
    support_bundle._described(items)
    list(support_bundle._logs(kube, "learnflow", items))
    evidence.gather(kube, items, items)
    enforcement(items, minikube=True)
    capacity.free(items, items)
    volumes.finding_of("here", items)
    [*workloads.found({kind: items for kind in (*workloads.KINDS, "Pod")})]
