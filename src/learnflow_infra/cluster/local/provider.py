"""The local cluster as the rest of the project sees it: up, down, its kubectl and its images."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

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
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import paths, process
from learnflow_infra.host.deadline import Deadline

_POLL_SECONDS = 0.02
_ORDERLY_SECONDS = 90.0  # for pods and components to end by themselves
_ASK_SECONDS = 0.2  # an interrupted command has little time for it
_ASIDE_SECONDS = 3.0  # for that when a failure is to be reported
_ENDING = " ending: "  # how the node's log begins to say why
_OPEN_FILES = "too many open files"  # in words of the C library: inotify's instances ran out
_LOG_CHARACTERS = 20_000
_LEAST_BYTES = 64 << 20  # what etcd takes for its log at its first start
_LOW_BYTES = 1 << 30
_LEAST_KERNEL = (5, 13)  # kube-proxy's nftables mode asks for it


class LocalCluster:
    """A real Kubernetes of one node in namespaces of its own."""

    addresses = (layout.NETWORK,)
    """What no proxy stands before: those of its node, pods and Services."""
    context = layout.NAME
    start_command = "learnflow-infra cluster up"

    def obstacle(self) -> str | None:
        """Why it cannot run on this machine; None if it can."""
        if reason := _foreign_ground():
            return reason
        if lock.node_lives():
            return None
        absent = [each for each in ("unshare", "mount", "ip") if shutil.which(each) is None]
        if absent:
            return f"there is no `{absent[0]}` on PATH"
        release = tuple(map(int, re.findall(r"\d+", platform.release())[:2]))
        if release < _LEAST_KERNEL:
            return f"it needs Linux {'.'.join(map(str, _LEAST_KERNEL))} or newer"
        for covered in ("/run", "/var"):  # the node has these two of its own
            if build.folder().is_relative_to(covered):
                return f"its programs cannot lie in {covered}: set XDG_CACHE_HOME to another folder"
        return build.obstacle()

    def state(self, deadline: Deadline) -> Literal["absent", "stopped", "running"]:
        """Whether the node lives; starting and ending count as running."""
        if lock.node_lives():
            return "running"
        return "stopped" if (layout.PKI / "complete").exists() else "absent"

    def up(self, deadline: Deadline, say: Callable[[str], None]) -> None:
        """Build, start and wait until the node is Ready and DNS answers, as far as not done yet.

        Raises Failure.
        """
        if reason := self.obstacle():
            raise Failure(finding("local-cluster-unavailable", f"no local cluster here: {reason}"))
        with _told_as("local-cluster-start-failed"):
            with lock.exclusive(deadline):
                self._start(deadline, say)
                kubeconfig.add(self.kubectl, deadline)
            dns.await_answer(deadline)
        if (free := _free_bytes()) < _LOW_BYTES:
            say(f"the disk of {layout.STATE} has only {free >> 20} MiB left")

    def down(self, deadline: Deadline, say: Callable[[str], None], *, purge: bool = False) -> None:
        """End the pods, then the node. With `purge`, remove all that there ever was of it.

        Works from any state that a start or stop was interrupted in. Raises Failure.
        """
        if reason := _foreign_ground():
            raise Failure(finding("local-cluster-unavailable", f"no local cluster here: {reason}"))
        with _told_as("local-cluster-stop-failed"), lock.exclusive(deadline):
            if lock.node_lives():
                say("stopping the local cluster")
                _end(deadline)
            cgroups.remove(deadline)
            if purge:
                say("removing the local cluster with its data")
                network.clear(deadline)
                kubeconfig.remove(self.kubectl, deadline)
                for folder in (layout.STATE, paths.cache(), layout.RUN):
                    if folder.exists():
                        shutil.rmtree(folder)

    @property
    def kubectl(self) -> tuple[str, ...]:
        """The argv prefix of the kubectl of the cluster's own version."""
        return (str(build.binary()), "kubectl")

    def images(self, deadline: Deadline) -> set[str]:
        """The references of the images on the node, in full."""
        return images.listed(_environment(deadline), deadline)

    def load(self, archive: Path, deadline: Deadline) -> None:
        """Bring an archive as `docker save` makes it to the node. Raises CommandFailed."""
        images.load(archive, _environment(deadline), deadline)

    def pull(self, reference: str, deadline: Deadline) -> None:
        """Fetch an image from its registry, with the host's network. Raises CommandFailed."""
        images.pull(reference, _environment(deadline), deadline)

    def _start(self, deadline: Deadline, say: Callable[[str], None]) -> None:
        if _settled(deadline) == "ready":
            return
        _require_disk()
        programs = build.programs(deadline, say)
        say("starting the local cluster")
        cgroups.remove(deadline)
        network.claim(deadline)
        for folder in (layout.STATE, layout.LOGS):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        layout.READY.unlink(missing_ok=True)
        pki.ensure()
        try:
            _launch(programs, cgroups.create(), deadline)
            if _settled(deadline) == "ended":
                raise _start_failed()
        except BaseException:
            # It ends by itself once it has been asked to; the next command waits for that.
            with contextlib.suppress(Failure):
                _end(Deadline(_ASIDE_SECONDS))
            raise


def _settled(deadline: Deadline) -> Literal["ready", "ended"]:
    """What became of a node that may be starting or ending."""
    while lock.node_lives():
        if layout.READY.exists():
            return "ready"
        _require_disk()
        if deadline.passed():
            raise deadline.failure(f"the node to be ready; see {layout.LOGS / 'node.log'}")
        time.sleep(_POLL_SECONDS)
    return "ended"


def _require_disk() -> None:
    """Raise Failure(node-disk-full) where nothing can be written: etcd does not start then."""
    if (free := _free_bytes()) < _LEAST_BYTES:
        message = f"the disk of {layout.STATE} has {free >> 20} MiB left"
        raise Failure(finding("node-disk-full", message))


def _free_bytes() -> int:
    folder = next(each for each in (layout.STATE, *layout.STATE.parents) if each.exists())
    return shutil.disk_usage(folder).free


def _end(deadline: Deadline) -> None:
    """Ask the node to end, and end it when it does not. Raises Failure."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        limit = deadline.within(_ORDERLY_SECONDS)
        sent = 0.0
        while lock.node_lives() and not limit.passed():
            # Again and again: a process that has only just begun does not hear the first.
            if time.monotonic() - sent >= _ASK_SECONDS and (pid := lock.node_pid()) is not None:
                os.kill(pid, number)
                sent = time.monotonic()
            time.sleep(_POLL_SECONDS)
    if lock.node_lives():
        raise Failure(finding("local-cluster-stop-failed", "the node's first process does not end"))


def _environment(deadline: Deadline) -> dict[str, str]:
    return build.programs(deadline, lambda _: None).environment


@contextlib.contextmanager
def _told_as(code: str) -> Iterator[None]:
    """Tell of a command or file that failed as a finding."""
    try:
        yield
    except (process.CommandFailed, OSError) as error:
        raise Failure(finding(code, str(error))) from error


def _foreign_ground() -> str | None:
    """Why nothing can be started here, nor ever was."""
    if sys.platform != "linux":
        return "it needs Linux"
    return None if os.geteuid() == 0 else "it needs root"


def _launch(programs: layout.Programs, cgroup: str, deadline: Deadline) -> None:
    """Start the node's first process in namespaces of its own, and plug it in."""
    package = Path(__file__).parents[3]
    namespaces = ("--mount", "--net", "--pid", "--uts", "--ipc", "--propagation", "private")
    argv = (
        *("unshare", *namespaces, "--fork", "--kill-child", "--mount-proc"),
        *(sys.executable, "-m", "learnflow_infra.cluster.local.node"),
        *(str(programs.node), str(programs.admit), str(programs.pause_archive), cgroup),
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
            raise _start_failed()
        if Path(f"/proc/{started.pid}/ns/net").readlink() != ours:
            break
        deadline.remaining()
        time.sleep(_POLL_SECONDS / 10)
    network.plug(started.pid, deadline)
    started.returncode = 0  # it outlives this process: nobody is to wait for it


def _start_failed() -> Failure:
    """What the node, and the component that it ended for, said last."""
    log = layout.LOGS / "node.log"
    lines = log.read_text(errors="replace").strip().splitlines() or ["without a word"]
    reason = next((line for line in reversed(lines) if _ENDING in line), lines[-1])
    message = f"the node ended: {reason.partition(_ENDING)[2] or reason}"[:300]
    message += "" if ".log" in message else f"; see {log}"
    named = re.search(r"see (\S+\.log)", message)
    said = ""
    if named and (file := Path(named[1])).is_file():
        said = file.read_text(errors="replace")[-_LOG_CHARACTERS:]
    if _OPEN_FILES in said:
        remedy = "Run `sysctl fs.inotify.max_user_instances=512` as root, then `up` again."
        message += f": {_OPEN_FILES}"
        return Failure(finding("local-cluster-start-failed", message, remedy=remedy))
    return Failure(finding("local-cluster-start-failed", message))
