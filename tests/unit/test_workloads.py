"""What stands in a namespace, and what is said of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra.diagnosis import workloads
from learnflow_infra.diagnosis.state import Evidence
from learnflow_infra.findings.causes import CAUSES

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def item(
    name: str, owner: str = "", *, age: float = 3600, labels: Any = None, **more: Any
) -> dict[str, Any]:
    made = (NOW - timedelta(seconds=age)).isoformat()
    meta = {"name": name, "uid": f"u-{name}", "creationTimestamp": made, "labels": labels or {}}
    meta["ownerReferences"] = [{"uid": f"u-{owner}", "controller": True}] if owner else []
    return {"metadata": meta, "spec": {}, "status": {}} | more


def pod(
    name: str, owner: str = "", *, ready: bool = False, phase: str = "Running", **more: Any
) -> Any:
    conditions = [{"type": "Ready", "status": "True" if ready else "False"}]
    crash = {"name": "c", "state": {"terminated": {"exitCode": 1, "reason": "Error"}}}
    statuses = [] if ready else [crash]
    status = {"phase": phase, "conditions": conditions, "containerStatuses": statuses}
    return item(name, owner, status=status, **more)


def codes(shown: dict[str, list[Any]], **evidence: Any) -> list[tuple[str, str]]:
    known = Evidence(**evidence)
    return [
        (symptom.objects[0], symptom.code)
        for each in workloads.found(shown)
        for symptom in workloads.symptoms(each, known, NOW)
    ]


def test_a_pod_is_told_with_the_deployment_above_its_replica_set() -> None:
    shown = {
        "Deployment": [item("web", spec={"replicas": 1})],
        "ReplicaSet": [item("web-1", "web", spec={"replicas": 1})],
        "Pod": [pod("web-1-x", "web-1")],
    }
    assert codes(shown) == [("web-1-x of deployment/web", "container-crashing")]


@pytest.mark.parametrize(
    "shown",
    [
        {"Pod": [pod("done", phase="Succeeded")]},
        {
            "Job": [item("job")],
            "Pod": [pod("try", "job", phase="Failed"), pod("b", "job", ready=True)],
        },
        {
            "ReplicaSet": [item("set", spec={"replicas": 1})],
            "Pod": [pod("evicted", "set", phase="Failed"), pod("set-x", "set", ready=True)],
        },
        {"StatefulSet": [item("none", spec={"replicas": 0})]},
        {"Pod": [pod("new", age=5)]},
        {
            "Job": [
                item(
                    "old",
                    "cron",
                    age=900,
                    status={"conditions": [{"type": "Failed", "status": "True"}]},
                ),
                item(
                    "new",
                    "cron",
                    status={"conditions": [{"type": "Complete", "status": "True"}]},
                    age=60,
                ),
            ]
        },
    ],
    ids=[
        "done",
        "a try of a job",
        "evicted and replaced",
        "scaled down",
        "starting",
        "cron's older",
    ],
)
def test_nothing_is_wrong_with(shown: dict[str, list[Any]]) -> None:
    assert codes(shown) == []


def test_a_job_that_gave_up_is_told_once() -> None:
    failed = {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}
    shown = {
        "Job": [item("job", status={"conditions": [failed]})],
        "Pod": [pod("job-x", "job", phase="Failed")],
    }
    assert codes(shown) == [("job/job", "job-failed")]


def test_a_pod_that_cannot_be_created_is_told_by_what_would_create_it() -> None:
    event = {
        "involvedObject": {"uid": "u-web-1"},
        "reason": "FailedCreate",
        "message": 'pods "web-1-x" is forbidden: exceeded quota: tight',
    }
    shown = {
        "Deployment": [item("web", spec={"replicas": 1})],
        "ReplicaSet": [
            item("web-1", "web", spec={"replicas": 1}),
            item("web-0", "web", spec={"replicas": 0}),
        ],
    }
    assert codes(shown, events=[event]) == [("deployment/web", "quota-exceeded")]


def test_a_service_without_pods_is_one_only_where_nothing_would_make_them() -> None:
    template = {"metadata": {"labels": {"app": "web"}}}
    shown = {
        "Deployment": [item("web", spec={"replicas": 0, "template": template})],
        "Service": [
            item("web", spec={"selector": {"app": "web"}}),
            item("outside", spec={"type": "ExternalName"}),
            item("lost", spec={"selector": {"app": "wbe"}}),
        ],
    }
    told = [*workloads.unserved(shown.get("Service", ()), shown)]
    assert [(each.objects, each.detail) for each in told] == [
        (("service/lost",), "no pod has app=wbe")
    ]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "status",
                    "uid",
                    "name",
                    "labels",
                    "ownerReferences",
                    "controller",
                    "replicas",
                    "phase",
                    "conditions",
                    "type",
                    "volumes",
                    "selector",
                    "creationTimestamp",
                ]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from([*workloads.KINDS, "Pod", "Service"]),
        st.lists(
            st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), anything), max_size=4
        ),
    )
)
def test_whatever_the_api_shows_it_ends_with_codes(shown: dict[str, list[Any]]) -> None:
    assert all(code in CAUSES for _, code in codes(shown))
    assert all(each.code in CAUSES for each in workloads.unserved(shown.get("Service", ()), shown))
