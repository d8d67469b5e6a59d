"""The local cluster as the rest of the project sees it: up, down, its kubectl and its images."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from learnflow_infra import process
from learnflow_infra.cluster.local import (
    build,
    cgroups,
    dns,
    images,
    kubeconfig,
    layout,
    lock,
    network,
    pki,
)
from learnflow_infra.deadline import Deadline
from learnflow_infra.failures import Failure, finding

_POLL_SECONDS = 0.02
_ORDERLY_SECONDS = 90.0  # for pods and components to end by themselves


class LocalCluster:
    """A real Kubernetes of one node in namespaces of its own."""

    name = layout.NAME

    def obstacle(self) -> str | None:
        """Why it cannot run on this machine; None if it can."""
        if sys.platform != "linux":
            return "it needs Linux"
        if os.geteuid() != 0:
            return "it needs root"
        absent = [each for each in ("unshare", "mount", "ip") if shutil.which(each) is None]
        if absent:
            return f"there is no `{absent[0]}` on PATH"
        for covered in ("/run", "/var"):  # the node has these two of its own
            if build.folder().is_relative_to(covered):
                return f"its programs cannot lie in {covered}: set XDG_CACHE_HOME to another folder"
        return build.obstacle()

    def state(self) -> Literal["absent", "stopped", "running"]:
        if lock.node_lives():
            return "running"
        return "stopped" if (layout.PKI / "complete").exists() else "absent"

    def up(self, deadline: Deadline, say: Callable[[str], None]) -> None:
        """Build, start and wait until the node is Ready and DNS answers, as far as not done yet.

        Raises Failure.
        """
        if reason := self.obstacle():
            raise Failure(finding("local-cluster-unavailable", f"no local cluster here: {reason}"))
        with lock.exclusive(deadline):
            if not (lock.node_lives() and layout.READY.exists()):
                self._start(deadline, say)
            kubeconfig.add(self.kubectl, deadline)
        dns.await_answer(deadline)

    def down(self, deadline: Deadline, say: Callable[[str], None], *, purge: bool = False) -> None:
        """End the pods, then the node. With `purge`, remove all that there ever was of it.

        Works from any state that a start or stop was interrupted in. Raises Failure.
        """
        with lock.exclusive(deadline):
            self._stop(deadline, say)
            cgroups.remove(deadline)
            if purge:
                say("removing the local cluster with its data")
                network.clear(deadline)
                if layout.STATE.exists() and build.binary().exists():
                    kubeconfig.remove(self.kubectl, deadline)
                for folder in (layout.STATE, build.folder(), layout.RUN):
                    shutil.rmtree(folder, ignore_errors=not folder.exists())

    @property
    def kubectl(self) -> tuple[str, ...]:
        return (str(build.binary()), "kubectl")

    def images(self, deadline: Deadline) -> set[str]:
        return images.listed(self._environment(deadline), deadline)

    def load(self, archive: Path, deadline: Deadline) -> None:
        images.load(archive, self._environment(deadline), deadline)

    def pull(self, reference: str, deadline: Deadline) -> None:
        images.pull(reference, self._environment(deadline), deadline)

    def _environment(self, deadline: Deadline) -> dict[str, str]:
        return build.programs(deadline, lambda _: None).environment

    def _start(self, deadline: Deadline, say: Callable[[str], None]) -> None:
        programs = build.programs(deadline, say)
        if not lock.node_lives():
            say("starting the local cluster")
            cgroups.remove(deadline)
            network.claim(deadline)
            layout.STATE.mkdir(mode=0o700, parents=True, exist_ok=True)
            layout.LOGS.mkdir(mode=0o700, exist_ok=True)
            layout.READY.unlink(missing_ok=True)
            pki.ensure()
            _launch(programs, cgroups.create(), deadline)
        try:
            while not layout.READY.exists():
                if not lock.node_lives():
                    raise Failure(finding("local-cluster-start-failed", _last_words()))
                deadline.remaining()
                time.sleep(_POLL_SECONDS)
        except BaseException:
            say("ending the local cluster, which did not come up")
            self._stop(Deadline(_ORDERLY_SECONDS), lambda _: None)
            raise

    def _stop(self, deadline: Deadline, say: Callable[[str], None]) -> None:
        """Ask the node to end, and end it when it does not."""
        if not lock.node_lives():
            return
        say("stopping the local cluster")
        patience = deadline.within(_ORDERLY_SECONDS)
        for number in (signal.SIGTERM, signal.SIGKILL):
            pid = lock.node_pid()
            if pid is not None:
                os.kill(pid, number)
            while lock.node_lives() and not patience.passed():
                time.sleep(_POLL_SECONDS)
            patience = deadline.within(_ORDERLY_SECONDS)


def _launch(programs: layout.Programs, cgroup: str, deadline: Deadline) -> None:
    """Start the node's first process in namespaces of its own, and plug it in."""
    package = Path(__file__).parents[3]
    namespaces = ("--mount", "--net", "--pid", "--uts", "--ipc", "--propagation", "private")
    argv = (
        *("unshare", *namespaces, "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "learnflow_infra.cluster.local.node"),
        *(str(programs.node), str(programs.pause_archive), cgroup),
    )
    held = lock.hold_for_node()
    log = os.open(layout.LOGS / "node.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        started = process.start(
            argv,
            stdin=held,
            stdout=log,
            stderr=log,
            env={**programs.environment, "PYTHONPATH": str(package)},
        )
    finally:
        os.close(held)
        os.close(log)
    ours = Path("/proc/self/ns/net").readlink()
    while True:
        if started.poll() is not None:
            raise Failure(finding("local-cluster-start-failed", _last_words()))
        if Path(f"/proc/{started.pid}/ns/net").readlink() != ours:
            break
        deadline.remaining()
        time.sleep(_POLL_SECONDS / 10)
    network.plug(started.pid, deadline)


def _last_words() -> str:
    log = layout.LOGS / "node.log"
    lines = log.read_text(errors="replace").strip().splitlines()
    return f"the node ended ({lines[-1][:200] if lines else 'without a word'}); see {log}"
