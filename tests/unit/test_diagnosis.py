"""What the state of a workload and its pods is judged to be."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learnflow_infra import report
from learnflow_infra.diagnosis import reasons
from learnflow_infra.diagnosis.log_excerpt import excerpt
from learnflow_infra.diagnosis.state import Evidence, State, judge
from learnflow_infra.findings.causes import CAUSES
from learnflow_infra.findings.verdict import Verdict

UID = "u-1"


def workload(replicas: int = 1, **status: Any) -> dict[str, Any]:
    return {
        "metadata": {"uid": UID, "generation": 2},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": 2, "updateRevision": "r2"} | status,
    }


def pod(
    name: str = "kafka-0",
    *,
    owner: str = UID,
    revision: str = "r2",
    phase: str = "Running",
    ready: bool = True,
    container: dict[str, Any] | None = None,
    conditions: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "uid": f"u-{name}",
            "labels": {"controller-revision-hash": revision},
            "ownerReferences": [{"uid": owner, "controller": True}],
        },
        "status": {
            "phase": phase,
            "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]
            + (conditions or []),
            "containerStatuses": [container or {}],
        },
    }


def test_done_when_all_owned_pods_of_the_current_revision_are_ready() -> None:
    assert judge("kafka", workload(), [pod()], 1).done


@pytest.mark.parametrize(
    "pods",
    [
        [],
        [pod(ready=False)],
        [pod(phase="Pending")],
        [pod(owner="another")],
        [pod(revision="r1")],
        [pod() | {"metadata": pod()["metadata"] | {"deletionTimestamp": "now"}}],
    ],
    ids=["none", "unready", "pending", "stray", "old revision", "going"],
)
def test_not_done_with(pods: list[dict[str, Any]]) -> None:
    assert not judge("kafka", workload(), pods, 1).done


def test_not_done_while_the_controller_has_not_seen_the_change() -> None:
    assert not judge("kafka", workload(observedGeneration=1), [pod()], 1).done


def codes(state: State) -> list[str]:
    return [each.code for each in state.findings]


def test_a_workload_scaled_down_by_hand_is_not_done() -> None:
    state = judge("kafka", workload(replicas=0), [], 1)
    assert (state.done, codes(state), state.final) == (False, ["scaled-down"], True)


def test_a_workload_scaled_up_by_hand_is_not_done() -> None:
    pods = [pod(), pod("kafka-1")]
    state = judge("kafka", workload(replicas=2), pods, 1)
    assert (state.done, codes(state), state.final) == (False, ["too-many-pods"], True)
    assert state.findings[0].message == "kafka-1: 2 pods, where the settings say 1"
    # Before the second is there, and after it was scaled back, until the second leaves.
    assert codes(judge("kafka", workload(replicas=2), [pod()], 1)) == ["too-many-pods"]
    state = judge("kafka", workload(), pods, 1)
    assert (state.done, state.final) == (False, False)
    pods[1]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert judge("kafka", workload(), pods, 1).done


def test_a_ready_pod_of_somebody_else_is_not_the_service_s() -> None:
    state = judge("kafka", workload(), [pod(), pod("other", owner="another")], 1)
    assert (state.done, codes(state)) == (False, ["stray-pod"])
    assert judge("kafka", workload(), [pod(), pod("other", owner="another", ready=False)], 1).done


@pytest.mark.parametrize("phase", ["Bound", "Lost"])
def test_a_claim_that_is_being_deleted_is_told_while_its_pod_runs(phase: str) -> None:
    claim = {
        "metadata": {"name": "data-kafka-0", "deletionTimestamp": "2026-01-01T00:00:00Z"},
        "status": {"phase": phase},
    }
    state = judge("kafka", workload(), [pod()], 1, Evidence(claims=[claim]))
    assert (state.done, codes(state), state.final) == (False, ["volume-deletion-pending"], True)


def test_a_finished_job_beside_the_workload_is_no_failure() -> None:
    job = pod("job-x", owner="job", phase="Succeeded", ready=False)
    state = judge("kafka", workload(), [pod(), job], 1)
    assert state.done
    assert state.findings == ()


def test_nothing_deployed_is_said() -> None:
    state = judge("kafka", None, [], 1)
    assert [each.code for each in state.findings] == ["not-deployed"]


@pytest.mark.parametrize(
    ("reason", "code", "final"),
    [
        ("ErrImagePull", "image-not-pulled", False),
        ("ImagePullBackOff", "image-not-pulled", False),
        ("InvalidImageName", "image-name-invalid", True),
        ("ErrImageNeverPull", "image-absent", True),
        ("CreateContainerConfigError", "container-config", True),
        ("CreateContainerError", "container-create", True),
        ("RunContainerError", "container-run", True),
        ("CrashLoopBackOff", "container-crashing", True),
    ],
)
def test_a_waiting_container_names_its_cause(reason: str, code: str, final: bool) -> None:
    waiting = {"state": {"waiting": {"reason": reason, "message": "why\nand\tmore"}}}
    state = judge("kafka", workload(), [pod(ready=False, container=waiting)], 1)
    assert [each.code for each in state.findings] == [code]
    assert state.final is final
    assert "\n" not in state.findings[0].message


def test_a_container_that_is_only_being_created_is_waited_for() -> None:
    waiting = {"state": {"waiting": {"reason": "ContainerCreating"}}}
    state = judge("kafka", workload(), [pod(ready=False, container=waiting)], 1)
    assert (state.findings, state.final) == ((), False)


def test_a_container_killed_for_memory_is_told_from_a_crash() -> None:
    container = {
        "ready": False,
        "state": {"waiting": {"reason": "CrashLoopBackOff"}},
        "lastState": {"terminated": {"reason": "OOMKilled", "exitCode": 137}},
    }
    state = judge("kafka", workload(), [pod(ready=False, container=container)], 1)
    assert [each.code for each in state.findings] == ["out-of-memory"]


def test_a_pod_without_room_is_final_and_one_whose_volume_comes_is_not() -> None:
    def unschedulable(message: str) -> State:
        condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": message}
        pending = pod(phase="Pending", ready=False, conditions=[condition])
        return judge("kafka", workload(), [pending], 1)

    assert unschedulable("0/1 nodes are available: 1 Insufficient memory.").final
    assert not unschedulable("pod has unbound immediate PersistentVolumeClaims").final


# ---- what each says in Kubernetes' own words

PULL = "Back-off pulling image: ErrImagePull: rpc error: code = Unknown desc = "


@pytest.mark.parametrize(
    ("reason", "message", "code", "final"),
    [
        ("ErrImagePull", "docker.io/library/nope:1: not found", "image-not-found", True),
        ("ErrImagePull", "manifest unknown: manifest unknown", "image-not-found", True),
        (
            "ImagePullBackOff",
            f"{PULL}pull access denied, repository does not exist or may require authorization",
            "image-denied",
            True,
        ),
        (
            "ErrImagePull",
            f"{PULL}dial tcp: lookup registry-1.docker.io: no such host",
            "image-registry-unreachable",
            False,
        ),
        ("ErrImagePull", f"{PULL}toomanyrequests: pull rate limit", "image-pull-limited", False),
        ("CreateContainerConfigError", 'secret "pw" not found', "secret-missing", True),
        ("CreateContainerConfigError", 'configmap "cm" not found', "config-map-missing", True),
        (
            "CreateContainerConfigError",
            "couldn't find key pass in Secret learnflow/pw",
            "key-missing",
            True,
        ),
        (
            "CreateContainerConfigError",
            "container has runAsNonRoot and image will run as root",
            "container-config",
            True,
        ),
        ("CreateContainerError", "context deadline exceeded", "container-create", False),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient cpu.",
            "unschedulable-cpu",
            True,
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 Insufficient memory.",
            "unschedulable-memory",
            True,
        ),
        ("Unschedulable", "0/1 nodes are available: 1 Too many pods.", "unschedulable-pods", True),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            "unschedulable-affinity",
            True,
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 node(s) had volume node affinity conflict.",
            "unschedulable-volume",
            True,
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 node(s) had untolerated taint {own: x}.",
            "unschedulable-taint",
            True,
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 node(s) had untolerated taint "
            "{node.kubernetes.io/not-ready: }.",
            "node-not-ready",
            False,
        ),
        (
            "Unschedulable",
            "0/1 nodes are available: 1 node(s) had untolerated taint "
            "{node.kubernetes.io/disk-pressure: }.",
            "node-under-pressure",
            False,
        ),
        (
            "FailedCreate",
            'pods "kafka-0" is forbidden: exceeded quota: q, requested: cpu=1, used: cpu=0',
            "quota-exceeded",
            True,
        ),
        (
            "FailedCreate",
            'pods "kafka-0" is forbidden: maximum memory usage per Container is 1Mi, but limit is',
            "limit-range-refused",
            True,
        ),
        (
            "FailedCreate",
            'pods "kafka-0" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot',
            "pod-security-refused",
            True,
        ),
        (
            "FailedCreate",
            'admission webhook "a.b.c" denied the request: no',
            "webhook-refused",
            True,
        ),
        (
            "FailedCreate",
            'Internal error occurred: failed calling webhook "a.b.c": connection refused',
            "webhook-failing",
            False,
        ),
        (
            "ProvisioningFailed",
            'storageclass.storage.k8s.io "gold" not found',
            "storage-class-missing",
            True,
        ),
        ("ProvisioningFailed", "no space in pool", "volume-provisioning-failed", False),
        (
            "FailedMount",
            'MountVolume.SetUp failed: configmap "x" not found',
            "config-map-missing",
            False,
        ),
        ("FailedMount", "mount failed: exit status 32", "volume-mount-failed", False),
    ],
)
def test_a_message_is_told_from_others_of_its_reason(
    reason: str, message: str, code: str, final: bool
) -> None:
    cause = reasons.cause_of(reason, message)
    assert cause is not None
    assert (cause[0], cause[1] == 0) == (code, final)


def test_every_meaning_is_in_the_table_of_causes() -> None:
    assert {code for rows in reasons._REASONS.values() for _, code, _ in rows} <= set(CAUSES)


# ---- crashes


def ended(exit_code: int, reason: str = "Error", waiting: str = "CrashLoopBackOff") -> Any:
    return {
        "name": "kafka",
        "ready": False,
        "restartCount": 1,
        "state": {"waiting": {"reason": waiting}} if waiting else {"running": {}},
        "lastState": {"terminated": {"reason": reason, "exitCode": exit_code}},
    }


def event(uid: str, reason: str, message: str, at: str = "2026-01-01T00:00:00Z") -> dict[str, Any]:
    return {
        "involvedObject": {"uid": uid},
        "reason": reason,
        "message": message,
        "lastTimestamp": at,
    }


def judged(pods: list[Any], expected: int = 1, **evidence: Any) -> State:
    return judge("kafka", workload(expected), pods, expected, Evidence(**evidence))


def test_a_crash_is_final_when_it_backs_off_and_asks_for_its_log() -> None:
    crashed = pod(ready=False, container=ended(1))
    state = judged([crashed])
    assert state.final
    assert state.log is not None
    assert (state.log.pod, state.log.container, state.log.previous) == ("kafka-0", "kafka", True)
    message = judged([crashed], log=['"FATAL: it is broken"']).findings[0].message
    assert message == 'kafka-0: exit code 1, Error; its log: "FATAL: it is broken"'


def test_one_restart_during_start_up_is_waited_for() -> None:
    state = judged([pod(ready=False, container=ended(1, waiting=""))])
    assert [each.code for each in state.findings] == ["container-crashing"]
    assert not state.final


def test_a_pod_restarted_with_its_node_has_not_crashed() -> None:
    for exit_code, reason in ((143, "Error"), (0, "Completed"), (255, "Unknown")):
        state = judged([pod(ready=False, container=ended(exit_code, reason, waiting=""))])
        assert state.findings == ()


@pytest.mark.parametrize("probe", ["liveness", "startup"])
def test_a_container_killed_by_its_probe_is_told_from_a_crash(probe: str) -> None:
    said = [
        event("u-kafka-0", "Unhealthy", f"{probe} probe failed: no answer"),
        event("u-kafka-0", "Killing", f"Container kafka failed {probe} probe, will be restarted"),
    ]
    state = judged([pod(ready=False, container=ended(137))], events=said)
    assert [(each.code, each.message) for each in state.findings] == [
        (
            f"{probe}-probe-killing",
            f"kafka-0: {probe} probe failed: no answer (exit code 137, Error)",
        )
    ]
    for events in (said[:1], []):
        state = judged([pod(ready=False, container=ended(137))], events=events)
        assert [each.code for each in state.findings] == ["container-crashing"]
    state = judged([pod(ready=False, container=ended(1))], events=said)
    assert [each.code for each in state.findings] == ["container-crashing"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("FATAL: could not write: No space left on device", "volume-full"),
        ("FATAL:  database files are incompatible with server", "postgres-version"),
        ("PANIC:  could not locate a valid checkpoint record at 0/1", "postgres-corrupted"),
        ("ERROR Exception in thread: java.lang.OutOfMemoryError: Java heap", "out-of-memory"),
        ("InternalError: a fault occurred in an unsafe memory access operation", "volume-full"),
        ("FATAL: something else", "container-crashing"),
    ],
)
def test_the_log_tells_why_a_server_ended(line: str, code: str) -> None:
    crashed = pod(ready=False, container=ended(1))
    state = judged([crashed], log=[f'"{line}"'])
    assert [each.code for each in state.findings] == [code]


def test_an_init_container_that_fails_is_named() -> None:
    waiting = pod(phase="Pending", ready=False)
    waiting["status"]["initContainerStatuses"] = [ended(3) | {"name": "prepare"}]
    waiting["status"]["containerStatuses"] = [{"state": {"waiting": {"reason": "PodInitializing"}}}]
    state = judged([waiting])
    assert [each.code for each in state.findings] == ["init-container-failing"]
    assert "container prepare: exit code 3" in state.findings[0].message


# ---- what pods do not say themselves


def test_a_second_crash_is_a_crash_loop_before_the_kubelet_says_so() -> None:
    ended = {"terminated": {"reason": "Error", "exitCode": 3}}
    once = judge("kafka", workload(), [pod(ready=False, container={"state": ended})], 1)
    twice = judge(
        "kafka",
        workload(),
        [pod(ready=False, container={"state": ended, "lastState": ended})],
        1,
    )
    assert (once.final, twice.final) == (False, True)
    assert [each.code for each in twice.findings] == ["container-crashing"]


def test_a_pod_that_cannot_be_created_is_explained_by_events() -> None:
    assert judge("kafka", workload(), [], 1).unexplained
    message = "create Pod kafka-0 in StatefulSet kafka failed error: exceeded quota: q"
    refused = event(UID, "FailedCreate", message, "2026-01-01T00:00:01Z")
    state = judged([], events=[refused])
    assert [(each.code, each.message) for each in state.findings] == [
        ("quota-exceeded", "exceeded quota: q")
    ]
    assert state.final
    since = event(UID, "SuccessfulCreate", "create Pod", "2026-01-01T00:00:02Z")
    assert judged([], events=[refused, since]).findings == ()
    assert judged([], events=[event("another", "FailedCreate", message)]).findings == ()


@pytest.mark.parametrize("fraction", ["", ".000001"])
@pytest.mark.parametrize("turned", [False, True])
def test_of_events_in_one_second_the_one_written_later_counts(fraction: str, turned: bool) -> None:
    def written(reason: str, message: str, version: str, at: str) -> dict[str, Any]:
        return event(UID, reason, message, at) | {"metadata": {"resourceVersion": version}}

    second = "2026-01-01T00:00:01"
    message = 'pods "kafka-0" is forbidden: exceeded quota: q'
    refused = written("FailedCreate", message, "99", f"{second}Z")
    made = written("SuccessfulCreate", "create Pod", "100", f"{second}{fraction}Z")
    events = [made, refused] if turned else [refused, made]
    assert judged([], events=events).findings == ()
    made["metadata"]["resourceVersion"] = "98"
    assert [each.code for each in judged([], events=events).findings] == ["quota-exceeded"]
    again = written("FailedCreate", "violates PodSecurity", "101", f"{second}{fraction}Z")
    found = judged([], events=[again, *events] if turned else [*events, again]).findings
    assert [each.code for each in found] == ["pod-security-refused"]


def test_a_mount_that_was_late_does_not_explain_a_long_pull() -> None:
    pending = pod(phase="Pending", ready=False)
    late = event("u-kafka-0", "FailedMount", "timed out", "2026-01-01T00:00:01Z")
    assert [each.code for each in judged([pending], events=[late]).findings] == [
        "volume-mount-failed"
    ]
    pulling = event("u-kafka-0", "Pulling", "Pulling image", "2026-01-01T00:00:02Z")
    state = judged([pending], events=[late, pulling])
    assert [each.code for each in state.findings] == ["image-pull-slow"]
    assert not state.final
    pulled = event("u-kafka-0", "Pulled", "Pulled image", "2026-01-01T00:00:03Z")
    assert judged([pending], events=[late, pulling, pulled]).findings == ()


def claim(phase: str = "Pending", storage_class: str | None = "standard") -> dict[str, Any]:
    return {
        "metadata": {"name": "data-kafka-0", "uid": "u-claim"},
        "spec": {"storageClassName": storage_class} if storage_class else {},
        "status": {"phase": phase},
    }


def unbound() -> dict[str, Any]:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "pod has unbound immediate PersistentVolumeClaims. preemption: no",
    }
    return pod(phase="Pending", ready=False, conditions=[condition])


@pytest.mark.parametrize(
    ("claims", "events", "code"),
    [
        ([claim()], [], "volume-unbound"),
        ([claim("Lost")], [], "volume-lost"),
        ([claim(storage_class=None)], [], "storage-class-missing"),
        (
            [claim()],
            [event("u-claim", "ProvisioningFailed", "disk is broken")],
            "volume-provisioning-failed",
        ),
    ],
)
def test_a_pod_without_its_volume_is_one_finding(
    claims: list[Any], events: list[Any], code: str
) -> None:
    state = judged([unbound()], claims=claims, events=events)
    assert [each.code for each in state.findings] == [code]


def test_a_claim_that_lost_its_volume_and_its_pod_are_one_finding() -> None:
    name = claim()["metadata"]["name"]
    said = f'0/1 nodes are available: persistentvolumeclaim "{name}" bound to non-existent volume'
    condition = {"type": "PodScheduled", "reason": "Unschedulable", "message": said}
    pending = pod(phase="Pending", ready=False, conditions=[condition])
    (found,) = judged([pending], claims=[claim("Lost")]).findings
    assert found.code == "volume-lost"
    assert found.message.startswith(name)


def test_what_a_dead_node_last_said_of_its_pods_does_not_count() -> None:
    lost = pod(ready=False, container=ended(1)) | {"spec": {"nodeName": "n"}}
    node = {
        "metadata": {"name": "n"},
        "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]},
    }
    state = judged([lost], nodes=[node])
    assert [each.code for each in state.findings] == ["node-not-ready"]
    assert not state.final


@pytest.mark.parametrize(
    ("ready", "code", "final"),
    [("True", "unschedulable-taint", True), ("False", "node-not-ready", False)],
)
def test_a_taint_without_a_name_is_told_by_the_nodes(ready: str, code: str, final: bool) -> None:
    message = "0/1 nodes are available: 1 node(s) had untolerated taint(s). no new claims to"
    tainted = unbound()
    tainted["status"]["conditions"][1]["message"] = message
    assert not judged([tainted]).final
    node = {
        "metadata": {"name": "n"},
        "spec": {"taints": [{"key": "own", "effect": "NoSchedule"}]},
        "status": {"conditions": [{"type": "Ready", "status": ready}]},
    }
    state = judged([tainted], nodes=[node])
    assert ([each.code for each in state.findings], state.final) == ([code], final)
    assert ("own" in state.findings[0].message) is final
    asleep = {"metadata": {"name": "asleep"}}
    assert judged([tainted], nodes=[asleep, node]).findings[0].code == code


def test_many_pods_of_one_cause_are_one_finding() -> None:
    pods = [pod(f"kafka-{n}", ready=False, container=ended(1)) for n in range(3)]
    state = judged(pods, 3)
    assert [each.message for each in state.findings] == ["kafka-0 and 2 more: exit code 1, Error"]


def test_the_most_blocking_of_independent_causes_comes_first() -> None:
    full = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient cpu.",
    }
    pods = [
        pod("kafka-0", ready=False, container=ended(1)),
        pod("kafka-1", phase="Pending", ready=False, conditions=[full]),
    ]
    codes = [each.code for each in judged(pods, 2).findings]
    assert codes == ["unschedulable-cpu", "container-crashing"]


def test_a_pod_about_to_be_replaced_is_not_final() -> None:
    state = judged([pod(revision="r1", ready=False, container=ended(1))])
    assert [each.code for each in state.findings] == ["container-crashing"]
    assert not state.final


def test_an_evicted_pod_beside_a_ready_one_is_no_failure() -> None:
    evicted = pod("kafka-0", phase="Failed", ready=False)
    evicted["status"]["reason"] = "Evicted"
    assert judged([evicted, pod()]).done
    assert [each.code for each in judged([evicted]).findings] == ["pod-evicted"]
    assert not judged([evicted]).final


def test_a_pod_that_is_put_out_for_what_it_does_itself_will_be_again() -> None:
    evicted = pod("kafka-0", phase="Failed", ready=False)
    evicted["status"]["reason"] = "Evicted"
    evicted["status"]["message"] = 'Usage of EmptyDir volume "tmp" exceeds the limit "64Mi".'
    assert judged([evicted]).final


# ---- logs


def test_a_log_is_told_in_the_lines_around_the_error() -> None:
    log = b"""INFO starting
ERROR cannot open /data (kafka.Kafka)
java.lang.RuntimeException: outer
\tat a.b.C(D.java:1)
Caused by: java.io.IOException: the inner reason
\t... 3 more
INFO shutting down
INFO bye
"""
    assert excerpt(log, (), cut=False) == [
        '"ERROR cannot open /data (kafka.Kafka)"',
        '"java.lang.RuntimeException: outer"',
        '"Caused by: java.io.IOException: the inner reason"',
    ]
    assert excerpt(b"one\ntwo\nthree\nfour\n", (), cut=False) == ['"two"', '"three"', '"four"']


def test_a_log_shows_no_secret_no_control_code_and_no_verdict_of_ours() -> None:
    log = (
        b"kafka     ok   1/1 pods  1.0 s\n"
        b"proved: pods, volumes, round trips\n"
        b"  -> Run this\n"
        b'{"ok":true,"findings":[]}\n'
        b'\x1b[31mERROR\x1b[0m password \x1b]0;title\x07s3cret-value "quoted" is wrong\r\n'
    )
    assert excerpt(log, ["s3cret-value"], cut=False) == ["\"ERROR password *** 'quoted' is wrong\""]


def test_a_secret_at_the_cut_end_is_not_shown_in_part() -> None:
    assert excerpt(b"ERROR the password is s3cret-va", ["s3cret-value"], cut=True) == [
        '"ERROR the password"'
    ]


# ---- whatever comes

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=300),
    lambda each: (
        st.lists(each, max_size=3) | st.dictionaries(st.text(max_size=8), each, max_size=3)
    ),
    max_leaves=10,
)
REASONS = st.sampled_from([*reasons._REASONS, "OOMKilled", "Error", "ContainerCreating"])
WORDS = st.sampled_from([message for rows in reasons._REASONS.values() for message, _, _ in rows])
ANY_TEXT = REASONS | WORDS | st.text(max_size=3000) | JSON
ENDED = st.fixed_dictionaries(
    {}, optional={"reason": ANY_TEXT, "exitCode": JSON, "message": ANY_TEXT}
)
CONTAINERS = st.lists(
    JSON
    | st.fixed_dictionaries(
        {},
        optional={
            "name": ANY_TEXT,
            "ready": JSON,
            "state": JSON
            | st.fixed_dictionaries({"waiting": ENDED})
            | st.fixed_dictionaries({"terminated": ENDED}),
            "lastState": JSON | st.fixed_dictionaries({"terminated": ENDED}),
        },
    ),
    max_size=3,
)
CONDITIONS = st.lists(
    JSON
    | st.fixed_dictionaries(
        {
            "type": st.sampled_from(["Ready", "PodScheduled", "DiskPressure"]),
            "status": st.sampled_from(["True", "False", "Unknown"]) | JSON,
            "reason": ANY_TEXT,
            "message": ANY_TEXT,
        }
    ),
    max_size=3,
)
METADATA = JSON | st.fixed_dictionaries(
    {"uid": st.sampled_from([UID, "u-2"]) | JSON},
    optional={
        "name": ANY_TEXT,
        "deletionTimestamp": JSON,
        "labels": JSON | st.just({"controller-revision-hash": "r2"}),
        "ownerReferences": JSON | st.just([{"uid": UID, "controller": True}]),
    },
)
STATUS = JSON | st.fixed_dictionaries(
    {},
    optional={
        "phase": st.sampled_from(["Pending", "Running", "Failed", "Lost"]) | JSON,
        "reason": ANY_TEXT,
        "conditions": CONDITIONS | JSON,
        "containerStatuses": CONTAINERS | JSON,
        "initContainerStatuses": CONTAINERS | JSON,
    },
)
ITEMS = st.lists(
    JSON | st.fixed_dictionaries({"metadata": METADATA, "status": STATUS, "spec": JSON}), max_size=4
)
EVENTS = st.lists(
    JSON
    | st.fixed_dictionaries(
        {"involvedObject": st.sampled_from([{"uid": UID}, {"uid": "u-2"}]) | JSON},
        optional={"reason": ANY_TEXT, "message": ANY_TEXT, "lastTimestamp": JSON},
    ),
    max_size=4,
)


@given(ITEMS, ITEMS, ITEMS, EVENTS, st.binary(max_size=4000))
def test_whatever_the_api_shows_is_judged_in_bounded_words(
    pods: Any, claims: Any, nodes: Any, events: Any, log: bytes
) -> None:
    lines = excerpt(log, ["secret"], cut=True)
    state = judged(pods, claims=claims, nodes=nodes, events=events, log=lines)
    assert not state.done or state.findings == ()
    assert len(state.findings) <= 3
    for each in state.findings:
        assert each.code in CAUSES
        assert len(each.message) <= 1100
    assert all(0 <= each.grace <= math.inf for each in state.symptoms)
    text = report.to_text(report.Report("up", [Verdict("kafka", findings=state.findings)]), False)
    assert len(text.encode()) <= 2000


@given(JSON, ITEMS)
def test_a_workload_of_any_shape_is_judged(shape: Any, pods: Any) -> None:
    judge("kafka", shape, pods, 1)


@given(st.binary(max_size=9000), st.booleans())
def test_any_log_is_at_most_three_short_printable_lines(log: bytes, cut: bool) -> None:
    lines = excerpt(log + b"\nhidden-word\n", ["hidden-word"], cut=cut)
    assert len(lines) <= 3
    for line in lines:
        assert len(line) <= 160
        assert line.isprintable()
        assert "hidden-word" not in line


def test_a_line_of_a_log_that_names_a_cause_is_among_its_few() -> None:
    said = ["ERROR: first", "database files are incompatible with server", "FATAL: a", "FATAL: b"]
    lines = excerpt("\n".join(said).encode(), (), cut=False)
    assert '"database files are incompatible with server"' in lines
    assert reasons.cause_of_log(" ".join(lines)) == "postgres-version"
