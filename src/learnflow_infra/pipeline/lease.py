"""One writer: a command that changes a scope holds its Lease, and a second one waits for it.

https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import contextlib
import getpass
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import machine
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import manifests
from learnflow_infra.kubernetes.client import Kube
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.objects import Object, at, text, uid_of
from learnflow_infra.pipeline.scope import terminating
from learnflow_infra.settings import Settings

_NAME = "learnflow-infra"
# So long a holder may be silent: a machine that sleeps, or was switched off.
_SECONDS = 15
_RENEWAL_SECONDS = 5.0
_POLL_SECONDS = 0.3
_TELLING_SECONDS = 2.0  # kept to say for whom it waited
# By the clocks, which may differ, only what is much older is known to be over.
_CLOCKS_SECONDS = 120.0
_COMMAND, _PROCESS = "learnflow-app/command", "learnflow-app/process"


@contextlib.contextmanager
def held(
    kube: Kube,
    settings: Settings,
    command: str,
    deadline: Deadline,
    say: Callable[[str], None],
) -> Iterator[bool]:
    """Hold the scope's Lease, for which others are waited; whether any were.

    Raises Failure: `scope-held`, `namespace-terminating`. Where another command had to take this
    one for gone, the deadline ends with `lease-lost`. A user whose Role is of an earlier version
    has no right to Leases, and goes on without.
    """
    lease = _Lease(kube, settings.cluster.namespace, command)
    try:
        waited = lease.acquire(deadline, say)
    except Failure as failure:
        if not _is_forbidden(failure):
            raise
        say("no right to Leases: another command may change the same; see `learnflow-infra role`")
        yield False
        return
    over = threading.Event()
    renewal = threading.Thread(target=lease.renew, args=(over, deadline), daemon=True)
    renewal.start()
    try:
        yield waited
    finally:
        over.set()
        renewal.join()
        with contextlib.suppress(Failure):  # it ends by itself
            lease.release()


def under_way(kube: Kube, settings: Settings) -> list[str]:
    """Whose command changes the scope at present, as a line for a report; none where nobody's."""
    try:
        found = kube.get("Lease", settings.cluster.namespace, _NAME)
    except Failure as failure:
        if not _is_forbidden(failure):
            raise
        return []
    if found is None or _is_over(found):
        return []
    return [f"a change is under way: {_holder(found)}"]


class _Lease:
    def __init__(self, kube: Kube, namespace: str, command: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._command = command
        self._uid = ""

    def acquire(self, deadline: Deadline, say: Callable[[str], None]) -> bool:
        seen: _Seen | None = None
        left = deadline.remaining()
        until = deadline.within(max(left - _TELLING_SECONDS, left / 2))
        while True:
            if made := self._create():
                self._uid = uid_of(made)
                return seen is not None
            found = self._kube.get("Lease", self._namespace, _NAME)
            if found is None:
                continue
            if _is_over(found) or (seen and seen.is_silent(found)):
                # Of several that wait, one removes it, and one creates the next.
                self._remove(uid_of(found))
                continue
            if seen is None or not seen.is_of(found):
                seen = _Seen.now(found)
                say(f"waiting for {_holder(found)}")
            if until.passed():
                deadline.remaining()
                message = f"{_holder(found)} in namespace {self._namespace}"
                raise Failure(finding("scope-held", message))
            time.sleep(_POLL_SECONDS)

    def renew(self, over: threading.Event, deadline: Deadline) -> None:
        """Say every few seconds that the command is still at work."""
        while not over.wait(_RENEWAL_SECONDS):
            body = {"metadata": {"uid": self._uid}, "spec": {"renewTime": _now()}}
            try:
                self._kube.patch("Lease", self._namespace, _NAME, body)
            except ApiError as error:
                # It is another one. In a namespace that is being purged there is none.
                if error.code in (409, 422):
                    deadline.end(Failure(finding("lease-lost", "another command has begun")))
                    return
            except Failure:
                pass  # the API server may be away for a moment; the command itself says so

    def release(self) -> None:
        self._remove(self._uid)

    def _create(self) -> Object | None:
        now = _now()
        meta = {
            "name": _NAME,
            "namespace": self._namespace,
            "labels": manifests.labels(manifests.SHARED),
            "annotations": {_COMMAND: self._command, _PROCESS: machine.process_identity()},
        }
        spec = {
            "holderIdentity": f"{_user()}@{socket.gethostname()}",
            "leaseDurationSeconds": _SECONDS,
            "acquireTime": now,
            "renewTime": now,
        }
        manifest = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": meta,
            "spec": spec,
        }
        try:
            return self._kube.create(manifest)
        except ApiError as error:
            if "being terminated" in error.message or error.code == 404:
                raise terminating(self._namespace) from error
            raise

    def _remove(self, uid: str) -> None:
        try:
            self._kube.delete("Lease", self._namespace, _NAME, uid=uid)
        except ApiError as error:
            if error.code != 409:  # it is another one by now
                raise


@dataclass(frozen=True)
class _Seen:
    """A Lease as it was seen first, by this machine's own clock."""

    uid: str
    renewed: str
    since: float

    @classmethod
    def now(cls, lease: Object) -> _Seen:
        return cls(uid_of(lease), text(at(lease, "spec", "renewTime")), time.monotonic())

    def is_of(self, lease: Object) -> bool:
        return (self.uid, self.renewed) == (uid_of(lease), text(at(lease, "spec", "renewTime")))

    def is_silent(self, lease: Object) -> bool:
        return self.is_of(lease) and time.monotonic() - self.since > _SECONDS


def _is_over(lease: Object) -> bool:
    """Whether the holder is surely gone: its process, where it was of this machine, or long ago."""
    process = text(at(lease, "metadata", "annotations", _PROCESS))
    if machine.has_ended(process):
        return True
    try:
        renewed = datetime.fromisoformat(text(at(lease, "spec", "renewTime")))
    except ValueError:
        return False
    return (datetime.now(UTC) - renewed).total_seconds() > _CLOCKS_SECONDS


def _is_forbidden(failure: Failure) -> bool:
    return failure.findings[0].code == "permission-missing"


def _holder(lease: Object) -> str:
    command = text(at(lease, "metadata", "annotations", _COMMAND)) or "a command"
    return f"`{command}` of {text(at(lease, 'spec', 'holderIdentity'))}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # such as in a container, for a number without a name
        return f"user-{os.getuid()}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
