"""The first process of the node's namespaces: starts the components, keeps them, ends them.

In Python, like all else that starts and stops the cluster, so that the order of things is told
once. It prints a line for each step to its log. The file `ready` is there while all is well.
Once all has been well, only who asks it to end ends the pods: they are the user's, and outlive a
component that dies, a full disk and a machine that is slow.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from learnflow_infra.cluster.local import isolation, layout, objects, stale_status
from learnflow_infra.cluster.local.api import Api
from learnflow_infra.cluster.local.components import Component, components
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, run, start

_START_SECONDS = 120.0
_POLL_SECONDS = 0.02
_UPKEEP_SECONDS = 15.0
_POD_SECONDS = 40  # for all pods to end: somewhat more than the usual grace
_END_SECONDS = 10.0  # for a component to end
_RESTART_SECONDS = 5.0  # from one start of a component to the next
_LOG_BYTES = 8 << 20
_READY_BUT_FOR_ROLES = (
    f"{layout.API_SERVER}/readyz?exclude=poststarthook/rbac/bootstrap-roles"
    "&exclude=poststarthook/scheduling/bootstrap-system-priority-classes"
)


class NodeEnds(Exception):
    """The node cannot go on, or was asked to end."""


class Node:
    def __init__(self, binary: str, admit: str, pause_archive: str, cgroup: str) -> None:
        self._binary = binary
        self._pause_archive = pause_archive
        self._components = components(binary, admit, os.environ["PATH"], cgroup)
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._died: list[str] = []
        self._started: dict[str, float] = {}
        self._asked_to_end = False
        self._wakeup, write = os.pipe()
        for end in (self._wakeup, write):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_end)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # ends a wait
        self._api = Api()

    def live(self) -> None:
        """Start everything, keep it until asked to end, end it in order."""
        try:
            self._start(Deadline(_START_SECONDS))
            self._keep()
        except NodeEnds as reason:
            _say(f"ending: {reason}")
        except Exception:  # whatever it is, pods and databases end in order
            traceback.print_exc()
        finally:
            layout.READY.unlink(missing_ok=True)
            self._end()

    def _start(self, deadline: Deadline) -> None:
        self._await("link", isolation.is_plugged, deadline)
        isolation.enter(deadline)
        layout.CONTAINERD_SOCKET.unlink(missing_ok=True)
        self._spawn("containerd", "etcd")
        self._await_healthy(deadline, "etcd")
        self._spawn("kube-apiserver")
        self._await_healthy(deadline, "containerd")
        self._import_pause_image(deadline)
        # A component that starts before what it asks for waits in ever longer steps. The API
        # server goes through its own roles for a second; an old cluster has them already.
        self._await("API", lambda: self._api.answers(_READY_BUT_FOR_ROLES), deadline)
        if not stale_status.mark(self._api):
            self._await_healthy(deadline, "kube-apiserver")
        self._spawn("kubelet", "kube-controller-manager", "kube-proxy")
        for path, body in objects.baseline():
            self._api.apply(path, body)
        self._spawn("policies", "dns", "kube-scheduler", "storage")
        self._await_healthy(deadline, *self._components)
        self._await("node", lambda: stale_status.node_is_ready(self._api), deadline)
        layout.READY.touch()

    def _keep(self) -> None:
        upkeep = time.monotonic()
        while not self._asked_to_end:
            self._wait(1.0 if layout.READY.exists() else _POLL_SECONDS)
            self._reap()
            try:
                self._restart_dead()
                if time.monotonic() - upkeep >= _UPKEEP_SECONDS:
                    upkeep = time.monotonic()
                    _bound_logs()
            except OSError as error:  # as on a full disk: tried again
                _say(f"upkeep: {error}")
        raise NodeEnds("asked to")

    def _restart_dead(self) -> None:
        for name in list(self._died):
            layout.READY.unlink(missing_ok=True)
            if time.monotonic() - self._started[name] >= _RESTART_SECONDS:
                self._spawn(name)
                self._died.remove(name)
        if self._died or layout.READY.exists():
            return
        if all(map(self._healthy, self._components.values())):
            layout.READY.touch()
            _say("all well again")

    def _end(self) -> None:
        """The kubelet first, so that pods stay ended; then the pods, while DNS and proxy work."""
        self._stop("kubelet")
        if "containerd" in self._running:
            argv = (self._binary, "stop-pods", f"unix://{layout.CONTAINERD_SOCKET}")
            try:
                run([*argv, str(_POD_SECONDS)], deadline=Deadline(_POD_SECONDS + 20.0))
            except Exception as error:  # whatever it is, the rest is still to be ended
                _say(f"not all pods ended as they should: {error}")
            _say("pods ended")
        self._stop(
            "storage", "dns", "policies", "kube-proxy", "kube-scheduler", "kube-controller-manager"
        )
        for name in ("kube-apiserver", "etcd", "containerd"):
            self._stop(name)
        _say("ended")

    def _spawn(self, *names: str) -> None:
        for name in names:
            self._started[name] = time.monotonic()
            with open(_log(name), "ab", opener=_owner_only) as log:
                self._running[name] = start(
                    self._components[name].argv, stdout=log.fileno(), stderr=log.fileno()
                )

    def _stop(self, *names: str) -> None:
        names = tuple(name for name in names if name in self._running)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for name in names:
                if name in self._running:
                    self._running[name].send_signal(number)
            deadline = Deadline(_END_SECONDS)
            while any(name in self._running for name in names) and not deadline.passed():
                self._wait(0.5)
                self._reap()

    def _await_healthy(self, deadline: Deadline, *names: str) -> None:
        for name in names:
            component = self._components[name]
            self._await(name, lambda: self._healthy(component), deadline)  # noqa: B023

    def _healthy(self, component: Component) -> bool:
        if component.name == "containerd":
            return _accepts(str(layout.CONTAINERD_SOCKET))
        return component.health is None or self._api.answers(component.health)

    def _await(self, what: str, condition: Callable[[], bool], deadline: Deadline) -> None:
        while not condition():
            self._reap()
            if self._asked_to_end:
                raise NodeEnds("asked to")
            if what in self._died:
                raise NodeEnds(f"{what} died while it started; see {_log(what)}")
            if deadline.passed():
                raise NodeEnds(f"{what} did not answer in time; see {_log(what)}")
            self._wait(_POLL_SECONDS)
        _say(f"{what} ready")

    def _wait(self, seconds: float) -> None:
        """Until a signal comes, at most so many seconds."""
        if select.select([self._wakeup], [], [], seconds)[0]:
            os.read(self._wakeup, 4096)

    def _reap(self) -> None:
        """Take note of components that died; every orphan in the namespace ends here too."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for name, process in list(self._running.items()):
                if process.pid == pid:
                    process.returncode = os.waitstatus_to_exitcode(status)
                    _say(f"{name} ended with {process.returncode}")
                    del self._running[name]
                    self._died.append(name)

    def _import_pause_image(self, deadline: Deadline) -> None:
        ctr = ("ctr", "--address", str(layout.CONTAINERD_SOCKET), "--namespace", "k8s.io", "images")
        try:
            listed = run([*ctr, "ls", "-q", f"name=={layout.PAUSE_IMAGE}"], deadline=deadline)
            if not listed.stdout.strip():
                run([*ctr, "import", self._pause_archive], deadline=deadline)
        except CommandFailed as error:
            _say(f"the pause image: {error}")

    def _on_end(self, *_: object) -> None:
        self._asked_to_end = True


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def _log(name: str) -> Path:
    return layout.LOGS / f"{name}.log"


def _owner_only(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _bound_logs() -> None:
    """Cut long logs, keeping what was last in them: their writers append, so that it is safe."""
    for log in layout.LOGS.glob("*.log"):
        if log.stat().st_size > _LOG_BYTES:
            log.with_suffix(".log.1").write_bytes(log.read_bytes()[-_LOG_BYTES:])
            os.truncate(log, 0)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # a disk too full for the log
        print(f"{time.time():.2f} {line}", flush=True)


if __name__ == "__main__":
    Node(*sys.argv[1:5]).live()
