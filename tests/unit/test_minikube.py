"""Minikube's own words: a script on the PATH says what the real one was seen to say."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from learnflow_infra import cli
from learnflow_infra.cluster.minikube import Minikube
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.failures import Failure, Finding
from learnflow_infra.host.deadline import Deadline

START_FAILED = """\
* Restarting existing none bare metal machine for "minikube" ...
X Exiting due to GUEST_START: failed to start node: adding node: wait 6m0s: apiserver healthz
* Suggestion: Check that SELinux is disabled, and that the provided apiserver flags are valid
* Related issue: https://github.com/kubernetes/minikube/issues/4536
"""
BOX = """\
X Exiting due to GUEST_IMAGE_LIST: Failed to list images
*
╭──────────────────────────────────────────────────────────────╮
│    * Please attach the log file to the issue:                │
│      https://github.com/kubernetes/minikube/issues/new       │
╰──────────────────────────────────────────────────────────────╯
"""


def quiet(_: str) -> None:
    pass


class Stub:
    """A `minikube` on the PATH: what it says to the commands that begin so, and what was asked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._cases: list[str] = []

    def says(self, begins: str, text: str = "", *, errors: str = "", exit_code: int = 0) -> None:
        number = len(self._cases)
        for name, content in (("out", text), ("err", errors)):
            (self._folder / f"{name}{number}").write_text(content)
        files = f"cat {self._folder}/out{number}; cat {self._folder}/err{number} >&2"
        self.does(begins, f"{files}; exit {exit_code}")

    def does(self, begins: str, shell: str) -> None:
        self._cases.append(f'"{begins}"*) {shell} ;;')
        program = self._folder / "minikube"
        lines = (
            "#!/bin/sh",
            f'echo "$LC_ALL $MINIKUBE_IN_STYLE $*" >> {self._folder}/calls',
            *('case "$*" in', *self._cases, "*) exit 64;; esac"),
        )
        program.write_text("\n".join(lines) + "\n")
        program.chmod(0o755)

    @property
    def calls(self) -> list[str]:
        return (self._folder / "calls").read_text().splitlines()


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stub:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return Stub(tmp_path)


@pytest.fixture
def minikube(stub: Stub, tmp_path: Path) -> Minikube:
    return Minikube(str(tmp_path / "minikube"), "minikube")


def node(host: str = "Running", kubelet: str = "Running", server: str = "Running") -> str:
    kubeconfig = "Configured" if host == "Running" else "Stopped"
    return (
        f'{{"Name":"minikube","Host":"{host}","Kubelet":"{kubelet}","APIServer":"{server}",'
        f'"Kubeconfig":"{kubeconfig}","Worker":false}}\n'
    )


def failing(act: Callable[[], object]) -> Finding:
    with pytest.raises(Failure) as failure:
        act()
    (finding,) = failure.value.findings
    return finding


def test_a_start_that_fails_is_told_in_minikubes_own_words(stub: Stub, minikube: Minikube) -> None:
    stub.says("status", node("Stopped", "Stopped", "Stopped"), exit_code=7)
    stub.says("start", errors=START_FAILED, exit_code=80)
    told = failing(lambda: minikube.up(Deadline(5), quiet))
    assert told.code == "minikube-start-failed"
    assert "GUEST_START: failed to start node: adding node" in told.message
    assert told.remedy.startswith("Minikube suggests: Check that SELinux is disabled")
    assert "minikube start -p minikube" in told.remedy


def test_the_reason_is_not_the_box_that_is_drawn_below_it(stub: Stub, minikube: Minikube) -> None:
    stub.says("-p minikube image ls", errors=BOX, exit_code=80)
    told = failing(lambda: minikube.images(Deadline(5)))
    assert told.code == "minikube-broken"
    assert told.message.endswith("image ls: GUEST_IMAGE_LIST: Failed to list images")


def test_where_all_is_in_the_box_its_first_line_is_the_reason(
    stub: Stub, minikube: Minikube
) -> None:
    box = '\n╭──────╮\n│      │\n│   * Profile "minikube" not found.  │\n│  http://x  │\n╰──────╯\n'
    stub.says("-p minikube image load", errors=box, exit_code=14)
    told = failing(lambda: minikube.load(Path("image.tar"), Deadline(5)))
    assert told.message.endswith('image load image.tar: Profile "minikube" not found.')


def test_without_a_word_the_exit_code_is_told(stub: Stub, minikube: Minikube) -> None:
    stub.says("-p minikube image pull", exit_code=85)
    told = failing(lambda: minikube.pull("postgres:17", Deadline(5)))
    assert (told.code, told.message[-12:]) == ("minikube-broken", "exit code 85")


def test_it_is_asked_to_speak_english_without_pictures(stub: Stub, minikube: Minikube) -> None:
    stub.says("status", node())
    assert minikube.state(Deadline(5)) == "running"
    assert stub.calls == ["C false status -p minikube -o json"]


def test_one_that_does_not_answer_is_not_told_as_the_commands_time(
    stub: Stub, minikube: Minikube, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.cluster.minikube._ASK_SECONDS", 0.2)
    stub.does("status", "exec sleep 60")
    told = failing(lambda: minikube.state(Deadline(30)))
    assert told.code == "minikube-broken"
    assert "did not end within 0.2 s" in told.message


def profiles(*names: str) -> str:
    valid = [{"Name": each, "Status": "Skipped", "Config": {}} for each in names]
    return json.dumps({"invalid": [], "valid": valid})


LIST = "profile list -o json --light"
STOPPED = ("Stopped", "Stopped", "Stopped")


def found(deadline: Deadline) -> str:
    minikube, _ = Minikube.find(deadline)
    assert minikube is not None
    return minikube.profile


@pytest.mark.parametrize(
    "said", ["", "null", "7", "[]", '{"error": {}}', '{"valid": 7}', '{"valid": ["work"]}', "\\x00"]
)
def test_a_list_of_profiles_that_is_none_is_no_missing_profile(stub: Stub, said: str) -> None:
    stub.says(LIST, said)
    assert failing(lambda: Minikube.find(Deadline(5))).code == "minikube-broken"


@pytest.mark.parametrize("said", ["", "null", "7", "[]", '["Running"]', node() * 2])
def test_a_status_that_is_none_is_told(stub: Stub, minikube: Minikube, said: str) -> None:
    stub.says("status", said)
    assert failing(lambda: minikube.state(Deadline(5))).code == "minikube-broken"


def test_the_only_profile_is_used_without_a_further_question(stub: Stub) -> None:
    stub.says(LIST, profiles("work"))
    assert found(Deadline(5)) == "work"
    assert len(stub.calls) == 1


def test_of_two_that_run_the_active_one_is_used(stub: Stub) -> None:
    stub.says(LIST, profiles("minikube", "work"))
    stub.says("profile", "work\n")
    stub.says("status", node())
    assert found(Deadline(5)) == "work"


def test_one_that_runs_goes_before_the_active_one(stub: Stub) -> None:
    stub.says(LIST, profiles("minikube", "work"))
    stub.says("profile", "work\n")
    stub.says("status -p work", node(*STOPPED), exit_code=7)
    stub.says("status -p minikube", node())
    assert found(Deadline(5)) == "minikube"


def test_a_second_profile_that_does_not_answer_holds_nobody_up(
    stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.cluster.minikube._OTHERS_SECONDS", 0.3)
    stub.says(LIST, profiles("minikube", "dead"))
    stub.says("profile", "minikube\n")
    stub.says("status -p minikube", node(*STOPPED), exit_code=7)
    stub.does("status -p dead", "exec sleep 60")
    assert found(Deadline(5)) == "minikube"


@pytest.mark.parametrize(
    ("status", "message", "remedy"),
    [
        (node(server="Paused"), "minikube is paused", "minikube unpause -p minikube"),
        (node(server="Stopped"), "the API server of", "minikube stop -p minikube"),
        (node(kubelet="Stopped"), "the kubelet of", "minikube stop -p minikube"),
        (
            node().replace("Configured", "Misconfigured"),
            "the kubeconfig does not lead to",
            "minikube update-context -p minikube",
        ),
    ],
)
def test_what_runs_in_part_is_named_as_that(
    stub: Stub, minikube: Minikube, status: str, message: str, remedy: str
) -> None:
    stub.says("status", status, exit_code=2)
    told = failing(lambda: minikube.state(Deadline(5)))
    assert told.code == "cluster-not-running"
    assert message in told.message
    assert remedy in told.remedy


def test_a_long_start_shows_minikubes_steps_once_they_come(
    stub: Stub, minikube: Minikube, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    stub.says("status", node(server="Stopped"), exit_code=2)
    # It goes on only once its first step was shown.
    stub.does("start", f"echo '* Restarting the machine'; until [ -e {seen} ]; do :; done; echo ok")
    steps: list[str] = []

    def say(text: str) -> None:
        steps.append(text)
        if text.startswith("minikube:"):
            seen.touch()

    minikube.up(Deadline(10), say)
    assert steps == [
        "the API server of Minikube profile minikube is stopped: starting it",
        "minikube: Restarting the machine",
    ]


@pytest.mark.parametrize("command", ["verify", "status", "down", "connect"])
def test_no_command_but_up_is_said_to_deploy(
    stub: Stub, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    stub.says(LIST, profiles("work"))
    stub.says("status", node(*STOPPED), exit_code=7)
    assert cli.run([command, "--json"]) == Exit.NO_CLUSTER
    (told,) = json.loads(capsys.readouterr().out)["findings"]
    assert told["code"] == "cluster-not-running"
    assert told["remedy"] == "Start it with `minikube start -p work`."


def test_a_start_that_hangs_ends_at_the_commands_deadline(stub: Stub, minikube: Minikube) -> None:
    stub.says("status", node(*STOPPED), exit_code=7)
    stub.does("start", "echo '* Starting'; exec sleep 60")
    assert failing(lambda: minikube.up(Deadline(1), quiet)).code == "deadline-passed"
