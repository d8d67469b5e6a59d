"""Containers that cannot be made, or do not stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .harness import Stand, fault

PROBE = {"exec": {"command": ["bash", "-c", "echo not well; exit 1"]}, "periodSeconds": 1}


def from_secret(name: str, key: str) -> list[dict[str, Any]]:
    return [{"name": "WORD", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}]


@fault(
    "a Secret that is not there",
    "up postgres",
    "secret-missing",
    sign="CreateContainerConfigError",
    says="nothing",
)
def secret_missing(stand: Stand) -> Iterator[None]:
    stand.alter(lambda pod: pod["spec"]["containers"][0]["env"].extend(from_secret("nothing", "x")))
    yield


@fault(
    "a ConfigMap that is not there",
    "up postgres",
    "config-map-missing",
    sign="CreateContainerConfigError",
)
def config_map_missing(stand: Stand) -> Iterator[None]:
    stand.alter_container(envFrom=[{"configMapRef": {"name": "nothing"}}])
    yield


@fault(
    "a key that its Secret does not have",
    "up postgres",
    "key-missing",
    sign="CreateContainerConfigError",
)
def key_missing(stand: Stand) -> Iterator[None]:
    stand.kubectl("create", "secret", "generic", "something", "--from-literal=a=b")
    more = from_secret("something", "absent")
    stand.alter(lambda pod: pod["spec"]["containers"][0]["env"].extend(more))
    yield


@fault(
    "an image that would run as root",
    "up postgres",
    "container-config",
    sign="CreateContainerConfigError",
)
def as_root(stand: Stand) -> Iterator[None]:
    def change(pod: dict[str, Any]) -> None:
        for key in ("runAsUser", "runAsGroup"):
            del pod["spec"]["securityContext"][key]

    stand.alter(change)
    yield


@fault(
    "a seccomp profile that the node does not have",
    "up postgres",
    "container-create",
    sign="CreateContainerError",
    says="seccomp",
)
def no_profile(stand: Stand) -> Iterator[None]:
    profile = {"type": "Localhost", "localhostProfile": "absent.json"}
    stand.alter(lambda pod: pod["spec"]["securityContext"].update(seccompProfile=profile))
    yield


@fault(
    "a command that is not in the image",
    "up postgres",
    "image-unfit",
    sign="StartError",
    telling=True,
    says="no-such-program",
)
def bad_command(stand: Stand) -> Iterator[None]:
    stand.alter_container(command=["no-such-program"])
    yield


@fault(
    "a server that ends at once",
    "up postgres",
    "container-crashing",
    sign="CrashLoopBackOff",
    telling=True,
    says="FATAL: the sky is falling",
)
def crash_loop(stand: Stand) -> Iterator[None]:
    stand.alter_container(command=["bash", "-c", "echo FATAL: the sky is falling; exit 3"])
    yield


@fault(
    "a server that needs more memory than its limit", "up kafka", "out-of-memory", sign="OOMKilled"
)
def out_of_memory(stand: Stand) -> Iterator[None]:
    limit = {"memory": "48Mi", "cpu": "1"}
    stand.alter_container(resources={"limits": limit, "requests": limit})
    yield


@fault(
    "a liveness probe that kills",
    "up postgres",
    "liveness-probe-killing",
    sign="CrashLoopBackOff",
    says="not well",
)
def liveness(stand: Stand) -> Iterator[None]:
    def change(pod: dict[str, Any]) -> None:
        pod["spec"]["terminationGracePeriodSeconds"] = 1
        container = pod["spec"]["containers"][0]
        container["startupProbe"] = None
        container["readinessProbe"] = PROBE
        container["livenessProbe"] = PROBE | {"failureThreshold": 1}

    stand.alter(change)
    yield


@fault(
    "a startup probe that kills",
    "up postgres",
    "startup-probe-killing",
    sign="CrashLoopBackOff",
    says="not well",
)
def startup(stand: Stand) -> Iterator[None]:
    def change(pod: dict[str, Any]) -> None:
        pod["spec"]["terminationGracePeriodSeconds"] = 1
        pod["spec"]["containers"][0]["startupProbe"] = PROBE | {"failureThreshold": 1}

    stand.alter(change)
    yield


def prepare(pod: dict[str, Any], **fields: Any) -> None:
    """Add an init container."""
    main = pod["spec"]["containers"][0]
    container = {key: main[key] for key in ("image", "imagePullPolicy", "securityContext")}
    container |= {"name": "prepare", "terminationMessagePolicy": "File"} | fields
    pod["spec"]["initContainers"] = [container]


@fault(
    "an init container that fails",
    "up postgres",
    "init-container-failing",
    sign="CrashLoopBackOff",
    says="prepare",
)
def init(stand: Stand) -> Iterator[None]:
    stand.alter(lambda pod: prepare(pod, command=["bash", "-c", "echo ERROR: no; exit 4"]))
    yield


@fault(
    "a sandbox that the network plug-in cannot make",
    "up postgres",
    "pod-sandbox-failed",
    sign="FailedCreatePodSandBox",
)
def sandbox(stand: Stand) -> Iterator[None]:
    from learnflow_infra.cluster.local import layout

    file = layout.CONFIG / "cni" / f"{layout.NAME}.conflist"
    before = file.read_text()
    file.write_text(before.replace('"ptp"', '"no-such-plugin"'))
    try:
        yield
    finally:
        file.write_text(before)


@fault(
    "an image that lacks the server's programs",
    "up postgres",
    "image-unfit",
    sign="CrashLoopBackOff",
    says="initdb",
)
def no_program(stand: Stand) -> Iterator[None]:
    stand.alter_script("set -e", "set -e\nPATH=/usr/bin:/bin")
    yield


@fault(
    "an image of a major version that is too old",
    "up postgres",
    "image-unfit",
    sign="CrashLoopBackOff",
    says="15.8 is too old a version: 17",
)
def old_version(stand: Stand) -> Iterator[None]:
    stand.alter_script("set -e", "set -e\ninitdb() { echo 'initdb (PostgreSQL) 15.8'; }")
    yield


@fault(
    "an image without the server's user",
    "up postgres",
    "image-unfit",
    sign="CrashLoopBackOff",
    says="could not look up effective user",
)
def no_user(stand: Stand) -> Iterator[None]:
    def change(pod: dict[str, Any]) -> None:
        pod["spec"]["securityContext"]["runAsUser"] = 4321

    stand.alter(change)
    yield
