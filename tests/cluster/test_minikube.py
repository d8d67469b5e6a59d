"""Minikube in each of its states. A stand-in answers, since the real one is in no registry: the
answers are those that the real one was seen to give, and its cluster is a real one."""

from __future__ import annotations

import pytest

from .conftest import WithMinikube


@pytest.mark.parametrize("minikube", ["running", "two-nodes"], indirect=True)
def test_a_running_profile_is_used_through_its_context(minikube: WithMinikube) -> None:
    answer = minikube.run("verify", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["cluster"]["context"] == "minikube"
    assert not any(call.startswith("start") for call in minikube.calls)


@pytest.mark.parametrize("minikube", ["running"], indirect=True)
def test_up_finds_the_images_on_it_and_changes_nothing(minikube: WithMinikube) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["changed"] == []
    assert not any("image load" in call for call in minikube.calls)


@pytest.mark.parametrize("minikube", ["stopped", "apiserver-killed"], indirect=True)
def test_a_stopped_profile_is_started_and_the_person_is_told(minikube: WithMinikube) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert "start -p minikube" in minikube.calls
    assert "is stopped: starting it" in answer.stderr


@pytest.mark.parametrize("minikube", ["stopped"], indirect=True)
def test_verify_starts_nothing(minikube: WithMinikube) -> None:
    answer = minikube.run("verify", "--json")
    assert answer.exit_code == 3
    assert answer.codes == ["cluster-not-running"]
    assert not any(call.startswith("start") for call in minikube.calls)


@pytest.mark.parametrize("minikube", ["paused"], indirect=True)
def test_a_paused_profile_is_named_with_its_remedy(minikube: WithMinikube) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 3
    assert "minikube unpause" in answer.json["findings"][0]["remedy"]


@pytest.mark.parametrize("minikube", ["start-fails"], indirect=True)
def test_a_profile_that_does_not_start_is_named(minikube: WithMinikube) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 3
    assert answer.codes == ["minikube-start-failed"]
    assert "GUEST_START" in answer.json["findings"][0]["message"]


@pytest.mark.parametrize("minikube", ["no-profile"], indirect=True)
def test_without_a_profile_the_local_cluster_is_used(minikube: WithMinikube) -> None:
    answer = minikube.run("verify", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["cluster"]["context"] == "learnflow-local"


@pytest.mark.parametrize("minikube", ["no-profile"], indirect=True)
def test_without_a_profile_minikube_cannot_be_asked_for(minikube: WithMinikube) -> None:
    answer = minikube.run("verify", "--json", "--cluster", "minikube")
    assert answer.exit_code == 3
    assert "minikube has no profile" in answer.json["findings"][0]["message"]
    assert "minikube start" in answer.json["findings"][0]["remedy"]
