"""A fault is a record; the stand puts it into the real cluster and measures what a command says."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any

import pytest

from learnflow_infra.cluster.local.api import Api, ApiRefused
from learnflow_infra.findings.causes import CAUSES
from learnflow_infra.settings import SecuritySettings

from ..conftest import NAMESPACE, Person
from ..machine import eventually
from .injector import LABEL, NAME, Alter, Injector, Refusal

# A busy machine must not make a test fail: what was measured stands in the table.
MOST_SECONDS = 60.0
MOST_BYTES = 2000
# What a pod prints may be shown, but never so that it could be taken for the tool's own words.
POD_SAYS = "pod-says"

_FINDING = re.compile(r"^([a-z]+(?:-[a-z]+)*)  (?:([a-z]+(?:, [a-z]+)*): )?(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Fault:
    """What is wrong, how it comes about, and what a command must say of it."""

    name: str
    inject: Callable[[Stand], AbstractContextManager[None]]
    command: str
    code: str
    exit: int
    service: str | None
    sign: str
    """What the API shows of it at first (`Stand.signs`); empty where it is there all along."""
    telling: bool
    """Whether it is one of the dozen that run with all other tests."""
    alone: bool
    """Whether it is met in a namespace of its own."""
    says: str
    """Words that the first finding must have."""
    unmended: str
    """Why no `up` ends well once the cause is gone."""


FAULTS: list[Fault] = []


def fault(
    name: str,
    command: str,
    code: str,
    *,
    exit: int = 1,
    sign: str = "",
    telling: bool = False,
    alone: bool | None = None,
    says: str = "",
    unmended: str = "",
) -> Callable[[Callable[[Stand], Iterator[None]]], Callable[[Stand], Iterator[None]]]:
    """Make a fault of a function that injects it, yields, and takes it back.

    `up` meets it in a new namespace, `verify` where both services were well before, unless said
    otherwise.
    """
    words = command.split()
    service = words[1] if len(words) == 2 and words[1] in ("kafka", "postgres") else None

    def record(inject: Callable[[Stand], Iterator[None]]) -> Callable[[Stand], Iterator[None]]:
        new = command.startswith("up") if alone is None else alone
        injected = contextmanager(inject)
        what = (name, injected, command, code, exit, service)
        FAULTS.append(Fault(*what, sign, telling, new, says, unmended))
        return inject

    return record


def parameters(records: Sequence[Any]) -> list[Any]:
    """Faults, or odd states, as a test's parameters."""
    return [
        pytest.param(
            each,
            id=re.sub(r"[^a-z0-9]+", "-", each.name.lower()).strip("-"),
            marks=() if each.telling else pytest.mark.thorough,
        )
        for each in records
    ]


@dataclass(frozen=True)
class Outcome:
    """What a command said, and how long after the fault could be seen."""

    exit_code: int
    text: str
    seconds: float

    @property
    def findings(self) -> list[tuple[str, str, str]]:
        """Each code, its service, and the message."""
        return [each for each in _FINDING.findall(self.text) if each[0] in CAUSES]

    @property
    def is_for_up(self) -> bool:
        """Whether the first finding's remedy is to run `up`."""
        return CAUSES[self.findings[0][0]].remedy.startswith("Run `learnflow-infra up`")


def pod(name: str, image: str, script: str, **more: Any) -> dict[str, Any]:
    """One that the namespace's pod security lets in."""
    container = {
        "name": "main",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["sh", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "runAsUser": 999,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
    }
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, **more.pop("metadata", {})},
        "spec": spec | more,
    }


class Stand:
    """A namespace and a person for one fault."""

    def __init__(self, person: Person, namespace: str, injector: Injector) -> None:
        self.person = person
        self.namespace = namespace
        self.environment: dict[str, str] = {}
        self.well = ""
        """The settings with which nothing is wrong."""
        self._injector = injector

    def __enter__(self) -> Stand:
        return self

    def __exit__(self, *exc: object) -> None:
        self.mend()

    def mend(self) -> None:
        """Take back what an injector, the settings and the environment were made to do."""
        self._injector.alter.pop(self.namespace, None)
        self.environment = {}
        self.settings(self.well)

    def require_proved(self, fault: Fault) -> None:
        """That `up` ends well, on the services that the fault's command was for."""
        services = [fault.service] if fault.service else []
        answer = self.person.run("up", *services)
        assert answer.exit_code == 0, answer.stdout

    # ---- to inject with

    def settings(self, more: str = "", **how: str) -> None:
        cluster = "" if self.namespace == NAMESPACE else f'namespace = "{self.namespace}"\n'
        self.person.settings(f"[cluster]\n{cluster}{more}", **how)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.person.kubectl("-n", self.namespace, *arguments, stdin=stdin)

    def create(self, *objects: dict[str, Any]) -> None:
        for each in objects:
            self.kubectl("create", "-f", "-", stdin=json.dumps(each))

    def alter(self, change: Alter) -> None:
        """Have each new pod of a server's changed, as a team's own injector would."""

        def of_servers(pod: dict[str, Any]) -> None:
            clients = SecuritySettings().client_labels
            if not clients.items() <= pod["metadata"].get("labels", {}).items():
                change(pod)

        self.kubectl("label", "--overwrite", "namespace", self.namespace, f"{LABEL}={NAME}")

        def is_asked() -> bool:
            self.trial(pod("trial", "nothing", "true"))
            return self.namespace in self._injector.asked

        eventually(is_asked)
        self._injector.alter[self.namespace] = of_servers

    def trial(self, item: dict[str, Any]) -> str:
        """Why the API server would refuse an object; empty where it would not."""
        done = subprocess.run(
            self.person.kubectl_command(
                *("-n", self.namespace, "create", "--dry-run=server", "-f", "-")
            ),
            env=self.person.environment,
            input=json.dumps(item),
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.stderr if done.returncode else ""

    def alter_container(self, **fields: Any) -> None:
        """Give the service's container other fields."""
        self.alter(lambda pod: pod["spec"]["containers"][0].update(fields))

    def alter_script(self, old: str, new: str) -> None:
        """Give the shell that starts the service another script."""

        def change(pod: dict[str, Any]) -> None:
            command = pod["spec"]["containers"][0]["command"]
            command[-1] = command[-1].replace(old, new, 1)

        self.alter(change)

    def refuse(self, reason: str) -> None:
        def change(_: object) -> None:
            raise Refusal(reason)

        self.alter(change)

    def exec(self, pod: str, script: str) -> str:
        return self.kubectl("exec", pod, "--", "bash", "-c", script)

    def signal(self, pod: str, program: str, name: str) -> None:
        """Send a signal to a pod's processes of a program."""
        script = (
            f'for each in /proc/[0-9]*; do if [ "$(cat $each/comm)" = {program} ]; '
            f"then kill -{name} ${{each#/proc/}}; fi; done 2>/dev/null; true"
        )
        self.exec(pod, script)

    def uid(self, pod: str) -> str:
        """Which pod it is that has the name now; empty for none."""
        named = (each["metadata"] for each in self.items("pods"))
        return next((str(each["uid"]) for each in named if each["name"] == pod), "")

    def get(self, path: str) -> Any:
        with closing(Api()) as api:
            try:
                return api.get(path)
            except (ApiRefused, OSError, HTTPException):
                return {}

    def items(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/api/v1/namespaces/{self.namespace}/{kind}").get(
            "items", []
        )
        return found

    def await_sign(self, sign: str, seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while sign not in self.signs():
            assert time.monotonic() < deadline, f"no {sign}; there are {self.signs()}"
            time.sleep(0.05)

    def signs(self) -> set[str]:
        """The reasons that the API gives for what pods and other objects do not do."""
        found = {str(each.get("reason")) for each in self.items("events")}
        for pod in self.items("pods"):
            status = pod.get("status", {})
            found |= {str(status.get("reason"))}
            found |= {
                str(each.get("reason"))
                for each in status.get("conditions", ())
                if each["status"] != "True"
            }
            for kind in ("containerStatuses", "initContainerStatuses"):
                for each in status.get(kind, ()):
                    for state in (*each["state"].values(), *each.get("lastState", {}).values()):
                        found.add(str(state.get("reason")))
        return found

    # ---- to observe with

    def observe(self, command: str, sign: str) -> Outcome:
        """Run a command; the seconds count from the sign on, or from the start without one."""
        seen = time.monotonic()
        process = self.person.start(*command.split(), **self.environment)
        killer = threading.Timer(MOST_SECONDS * 3, process.kill)
        killer.start()
        if sign:
            while sign not in self.signs() and process.poll() is None:
                time.sleep(0.05)
            seen = time.monotonic()
        text, trouble = process.communicate()
        killer.cancel()
        outcome = Outcome(process.returncode, text, time.monotonic() - seen)
        assert "Traceback" not in text + trouble
        for secret in self._secrets():
            assert secret not in text + trouble
        return outcome

    def _secrets(self) -> set[str]:
        values = {
            base64.b64decode(value).decode(errors="replace")
            for secret in self.items("secrets")
            for key, value in (secret.get("data") or {}).items()
            if "password" in key or key.endswith(".key")
        }
        return {each for each in values if len(each) >= 16}


def judge(fault: Fault, outcome: Outcome) -> None:
    """The code comes first, for the service, in few words and in time."""
    found = outcome.findings
    assert found, outcome.text
    code, service, message = found[0]
    assert code == fault.code, outcome.text
    assert outcome.exit_code == fault.exit, outcome.text
    assert outcome.exit_code == CAUSES[code].exit
    if fault.service is not None:
        assert service in (fault.service, ""), outcome.text
    assert fault.says in message, outcome.text
    # Many symptoms of one cause are one finding; two services may each have their own.
    assert {each[0] for each in found} == {fault.code}, outcome.text
    assert len({each[1] for each in found}) == len(found), outcome.text
    assert POD_SAYS not in re.sub('"[^"]*"', "", outcome.text), outcome.text
    assert len(outcome.text.encode()) <= MOST_BYTES
    assert all(char.isprintable() or char == "\n" for char in outcome.text)
    assert outcome.seconds < MOST_SECONDS


@contextmanager
def elsewhere(person: Person, injector: Injector, name: str) -> Iterator[Stand]:
    """A stand in a new namespace, which goes afterwards."""
    name = name[:50].rstrip("-")
    person.kubectl("create", "namespace", name)
    with Stand(person, name, injector) as stand:
        stand.settings()
        yield stand
    person.settings("")
    person.kubectl("delete", "namespace", name, "--wait=false")
