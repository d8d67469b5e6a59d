"""Minikube, through its own command.

`minikube status` sets exit bits: 1 host, 2 kubelet or API server, 4 kubeconfig. One node gives an
object, several an array. A profile that does not exist is exit 85, which is no bit mask, with
CloudEvents lines in place of a status.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from learnflow_infra.cluster import Say, canonical
from learnflow_infra.cluster.context import kubectl_on_path
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, Completed, run

_ASK_SECONDS = 30.0
_NO_PROFILE = 85


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
        answer = _ask([command, "profile", "list", "-o", "json"], deadline)
        profiles = _parsed(answer).get("valid") or []
        if not profiles:
            return None, "minikube has no profile"
        best = max(
            profiles,
            key=lambda each: (
                each.get("Status") in ("OK", "Running"),
                bool(each.get("Active")),
                each.get("Name") == "minikube",
            ),
        )
        return cls(command, str(best["Name"])), ""

    @property
    def context(self) -> str:
        return self.profile

    @property
    def kubectl(self) -> tuple[str, ...]:
        return kubectl_on_path() or (self._command, "-p", self.profile, "kubectl", "--")

    def state(self, deadline: Deadline) -> Literal["absent", "stopped", "running"]:
        nodes = self._status(deadline)
        if nodes is None:
            return "absent"
        paused = any(node.get("APIServer") == "Paused" for node in nodes)
        if paused:
            message = f"the Minikube profile {self.profile} is paused"
            remedy = f"Run `minikube unpause -p {self.profile}`."
            raise Failure(finding("cluster-not-running", message, remedy=remedy))
        control = [node for node in nodes if not node.get("Worker")]
        well = all(node.get("Host") == "Running" for node in nodes) and all(
            node.get("APIServer") == "Running" and node.get("Kubeconfig") == "Configured"
            for node in control
        )
        return "running" if well else "stopped"

    def _status(self, deadline: Deadline) -> list[dict[str, Any]] | None:
        answer = _ask([self._command, "status", "-p", self.profile, "-o", "json"], deadline)
        if answer.exit_code == _NO_PROFILE:
            return None
        status = _parsed(answer)
        return status if isinstance(status, list) else [status]

    def up(self, deadline: Deadline, say: Say) -> None:
        """Start a stopped profile, and say so."""
        if self.state(deadline) == "running":
            return
        say(f"Minikube profile {self.profile} is stopped: starting it")
        try:
            run([self._command, "start", "-p", self.profile], deadline=deadline)
        except CommandFailed as error:
            message = f"minikube start -p {self.profile}: {error.reason}"
            raise Failure(finding("minikube-start-failed", message)) from error

    def images(self, deadline: Deadline) -> set[str] | None:
        listed = run([self._command, "-p", self.profile, "image", "ls"], deadline=deadline)
        return {canonical(line.strip()) for line in listed.stdout.splitlines() if line.strip()}

    def pull(self, reference: str, deadline: Deadline) -> None:
        run([self._command, "-p", self.profile, "image", "pull", reference], deadline=deadline)

    def load(self, archive: Path, deadline: Deadline) -> None:
        run([self._command, "-p", self.profile, "image", "load", str(archive)], deadline=deadline)


def _ask(argv: list[str], deadline: Deadline) -> Completed:
    limit = deadline.within(_ASK_SECONDS, code="minikube-broken")
    try:
        return run(argv, deadline=limit, expect=None)
    except CommandFailed as error:
        raise Failure(finding("minikube-broken", str(error))) from error


def _parsed(answer: Completed) -> Any:
    try:
        return json.loads(answer.stdout)
    except ValueError as error:
        said = (answer.stdout or answer.stderr).strip()[:200] or "nothing"
        message = f"{' '.join(answer.argv[:3])} (exit {answer.exit_code}) said: {said}"
        raise Failure(finding("minikube-broken", message)) from error
