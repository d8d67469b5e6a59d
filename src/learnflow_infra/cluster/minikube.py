"""Minikube, through its own command.

`minikube status` sets exit bits: 1 host, 2 kubelet or API server, 4 kubeconfig. One node gives an
object, several an array. A profile that does not exist is exit 85, which is no bit mask, with
CloudEvents lines in place of a status.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from learnflow_infra.cluster import Say, canonical
from learnflow_infra.cluster.context import kubectl_on_path
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, Completed, run
from learnflow_infra.kubernetes.objects import at, objects, text

_ASK_SECONDS = 15.0
_OTHERS_SECONDS = 5.0
_MOST_STEP = 100  # characters
_HOST, _PAUSED, _KUBECONFIG = "the host", "all", "the kubeconfig"
_NO_PROFILE = 85
# Its words are understood, so they have to be English and without pictures.
_ENVIRONMENT = {"LC_ALL": "C", "MINIKUBE_IN_STYLE": "false"}

_EXITING = re.compile(r"Exiting due to ([A-Z][A-Z0-9_]+: .*)")
_SUGGESTION = re.compile(r"\W*Suggestion: (.*)")
_DRAWN = "╭│╰"


class Minikube:
    """One profile."""

    def __init__(self, command: str, profile: str) -> None:
        self._command = command
        self.profile = profile

    @classmethod
    def find(cls, deadline: Deadline) -> tuple[Minikube | None, str]:
        """The profile to use, or None and what was looked for.

        A running one goes before a stopped one, the active one before others.
        """
        command = shutil.which("minikube")
        if command is None:
            return None, "there is no minikube on the PATH"
        profiles = [cls(command, str(each.get("Name"))) for each in _profiles(command, deadline)]
        if len(profiles) < 2:
            return next(iter(profiles), None), "minikube has no profile"
        active = _ask([command, "profile"], deadline).stdout.strip()
        profiles.sort(key=lambda each: (each.profile != active, each.profile != "minikube"))
        if profiles[0]._runs(deadline):
            return profiles[0], ""
        with ThreadPoolExecutor(len(profiles)) as pool:
            states = pool.map(lambda each: each._runs(deadline), profiles[1:])
            running = [each for each, runs in zip(profiles[1:], states, strict=True) if runs]
        return [*running, profiles[0]][0], ""

    @staticmethod
    def addresses(deadline: Deadline) -> list[str]:
        """The nodes' addresses, all profiles'; none where Minikube does not say."""
        command = shutil.which("minikube")
        if command is None:
            return []
        try:
            profiles = _profiles(command, deadline)
        except Failure:  # which says so where Minikube is the cluster to use
            deadline.remaining()
            return []
        nodes = (node for each in profiles for node in objects(at(each, "Config", "Nodes")))
        return [address for node in nodes if (address := text(node.get("IP")))]

    def _runs(self, deadline: Deadline) -> bool:
        """Whether it does; one that does not answer soon, or not well, does not."""
        step = deadline.within(_OTHERS_SECONDS, "minikube status", code="minikube-broken")
        try:
            return self.state(step) == "running"
        except Failure:
            deadline.remaining()
            return False

    @property
    def context(self) -> str:
        return self.profile

    @property
    def kubectl(self) -> tuple[str, ...]:
        return kubectl_on_path() or (self._command, "-p", self.profile, "kubectl", "--")

    @property
    def start_command(self) -> str:
        return f"minikube start -p {self.profile}"

    def state(self, deadline: Deadline) -> Literal["absent", "stopped", "running"]:
        """Raises Failure(cluster-not-running) where it runs in part."""
        nodes = self._status(deadline)
        if nodes is None:
            return "absent"
        part = _not_running(nodes)
        if part == _HOST:
            return "stopped"
        if part is not None:
            raise self._in_part(part)
        return "running"

    def _in_part(self, part: str) -> Failure:
        own = f"-p {self.profile}"
        message = f"the Minikube profile {self.profile} is paused"
        remedy = f"Run `minikube unpause {own}`."
        if part == _KUBECONFIG:
            message = f"the kubeconfig does not lead to the Minikube profile {self.profile}"
            remedy = f"Run `minikube update-context {own}`."
        elif part != _PAUSED:
            message = f"{part} of the Minikube profile {self.profile} is stopped"
            remedy = f"Run `minikube stop {own}`, then `{self.start_command}`."
        return Failure(finding("cluster-not-running", message, remedy=remedy))

    def _status(self, deadline: Deadline) -> list[dict[str, Any]] | None:
        answer = _ask([self._command, "status", "-p", self.profile, "-o", "json"], deadline)
        if answer.exit_code == _NO_PROFILE:
            return None
        return _objects(answer)

    def up(self, deadline: Deadline, say: Say) -> None:
        """Start a profile that is stopped, in part or whole, and say so, with Minikube's steps."""
        nodes = self._status(deadline)
        part = _HOST if nodes is None else _not_running(nodes)
        if part is None:
            return
        if part in (_PAUSED, _KUBECONFIG):  # which no start mends
            raise self._in_part(part)
        what = f"Minikube profile {self.profile}"
        say(f"{what if part == _HOST else f'{part} of {what}'} is stopped: starting it")

        def on_line(line: str) -> None:
            if line.startswith("* "):
                say(f"minikube: {line[2:][:_MOST_STEP]}")

        argv = [self._command, "start", "-p", self.profile]
        remedy = f"Run `minikube stop -p {self.profile}`, then `{self.start_command}`."
        _call(argv, deadline, code="minikube-start-failed", remedy=remedy, on_line=on_line)

    def images(self, deadline: Deadline) -> set[str] | None:
        argv = [self._command, "-p", self.profile, "image", "ls"]
        listed = _call(argv, _asking(deadline))
        return {canonical(line.strip()) for line in listed.stdout.splitlines() if line.strip()}

    def pull(self, reference: str, deadline: Deadline) -> None:
        """Ask for it; that Minikube ends well does not say that it came."""
        _call([self._command, "-p", self.profile, "image", "pull", reference], deadline)

    def load(self, archive: Path, deadline: Deadline) -> None:
        """Ask for it; that Minikube ends well does not say that it came."""
        _call([self._command, "-p", self.profile, "image", "load", str(archive)], deadline)


def version(command: str, deadline: Deadline) -> str:
    """Minikube's version, such as `v1.38.1`. Raises Failure(minikube-broken)."""
    return _call([command, "version", "--short"], _asking(deadline)).stdout.strip()


def _profiles(command: str, deadline: Deadline) -> list[dict[str, Any]]:
    """Raises Failure(minikube-broken)."""
    # Not with their states: for a profile that does not answer that takes half a minute.
    answer = _ask([command, "profile", "list", "-o", "json", "--light"], deadline)
    return _objects(answer, "valid")


def _not_running(nodes: Sequence[dict[str, Any]]) -> str | None:
    """What keeps the nodes from running: the first that has to be there for the others."""
    control = [node for node in nodes if not node.get("Worker")]
    silent = [node for node in nodes if node.get("Host") != "Running"]
    if any(node in control for node in silent):
        return _HOST
    if silent:
        return f"the node {silent[0].get('Name')}"
    servers = [node.get("APIServer") for node in control]
    if "Paused" in servers:
        return _PAUSED
    if any(server != "Running" for server in servers):
        return "the API server"
    if any(node.get("Kubelet") != "Running" for node in nodes):
        return "the kubelet"
    if any(node.get("Kubeconfig") != "Configured" for node in control):
        return _KUBECONFIG
    return None


def _asking(deadline: Deadline) -> Deadline:
    return deadline.within(_ASK_SECONDS, "minikube", code="minikube-broken")


def _ask(argv: Sequence[str], deadline: Deadline) -> Completed:
    """What a command whose exit code tells a state answers. Raises Failure(minikube-broken)."""
    return _call(argv, _asking(deadline), expect=None)


def _call(
    argv: Sequence[str],
    deadline: Deadline,
    *,
    expect: Sequence[int] | None = (0,),
    code: str = "minikube-broken",
    remedy: str | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """One call of Minikube. Raises Failure of the code, with Minikube's own reason and its own
    suggestion before the remedy."""
    try:
        return run(argv, deadline=deadline, env=_ENVIRONMENT, expect=expect, on_line=on_line)
    except CommandFailed as error:
        reason, suggestion = understood(error.completed)
        message = f"{' '.join(('minikube', *argv[1:]))[:200]}: {reason}"
        found = finding(code, message, remedy=remedy)
        if suggestion:
            found = replace(found, remedy=f"Minikube suggests: {suggestion} Else: {found.remedy}")
        raise Failure(found) from error


def understood(failed: Completed) -> tuple[str, str]:
    """Why a call failed, and what Minikube suggests, if anything: of a report whose last lines
    are a drawn box or an address."""
    lines = [line.strip() for line in (*failed.stderr.splitlines(), *failed.stdout.splitlines())]
    suggestion = next((found[1] for line in lines if (found := _SUGGESTION.match(line))), "")
    exiting = next((found[1] for line in lines if (found := _EXITING.search(line))), "")
    own = [line for line in lines if line and line[0] not in _DRAWN and "http" not in line]
    boxed = [text for line in lines if line[:1] == "│" and (text := line.strip("│ "))]
    last = next((text for line in (*own[::-1], *boxed) if (text := line.lstrip("X* "))), "")
    reason = exiting or last or f"exit code {failed.exit_code}"
    return reason[:300], suggestion[:300]


def _objects(answer: Completed, key: str = "") -> list[dict[str, Any]]:
    """The objects that an answer is, at least one, or has under a key.

    Raises Failure(minikube-broken).
    """
    try:
        found = json.loads(answer.stdout)
        found = (found[key] or []) if key else found
    except (ValueError, LookupError, TypeError):
        found = None
    objects = found if isinstance(found, list) else [found]
    if not all(isinstance(each, dict) for each in objects) or not (objects or key):
        reason = understood(answer)[0]
        message = f"{' '.join(answer.argv[:3])} (exit {answer.exit_code}) said: {reason}"
        raise Failure(finding("minikube-broken", message))
    return objects
