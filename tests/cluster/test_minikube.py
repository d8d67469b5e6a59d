"""Minikube in each of its states. A stand-in answers, since the real one is in no registry: the
answers are those that the real one was seen to give, and its cluster is a real one."""

from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Person, WithMinikube


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


@pytest.mark.parametrize("minikube", ["running"], indirect=True)
def test_up_says_that_the_last_one_went_to_another_context(
    minikube: WithMinikube, deployed: Person
) -> None:
    assert deployed.run("up").exit_code == 0
    answer = minikube.run("up", "--json")
    assert answer.json["notes"] == ["the last `up` went to the context learnflow-local"]
    assert minikube.run("up", "--json").json["notes"] == []


@pytest.mark.parametrize(
    ("minikube", "part"),
    [
        ("stopped", "Minikube profile minikube is stopped"),
        ("apiserver-killed", "the API server of Minikube profile minikube is stopped"),
        ("kubelet-stopped", "the kubelet of Minikube profile minikube is stopped"),
    ],
    indirect=["minikube"],
)
def test_what_is_stopped_is_started_and_the_user_is_told(minikube: WithMinikube, part: str) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 0, answer.stdout
    assert "start -p minikube" in minikube.calls
    assert f"] {part}: starting it" in answer.stderr
    assert "minikube: Restarting existing none bare metal machine" in answer.stderr


@pytest.mark.parametrize("minikube", ["second-silent"], indirect=True)
def test_a_second_profile_that_does_not_answer_costs_nothing(minikube: WithMinikube) -> None:
    answer = minikube.run("verify", "--json", "--timeout", "20")
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["cluster"]["context"] == "minikube"


@pytest.mark.parametrize("minikube", ["images-missing"], indirect=True)
def test_where_no_registry_answers_the_built_images_are_loaded(
    minikube: WithMinikube, tmp_path: Path
) -> None:
    (tmp_path / "auto.toml").write_text('[images]\nsource = "auto"\n')
    answer = minikube.run("up", "--json", "--settings", str(tmp_path / "auto.toml"))
    assert answer.exit_code == 0, answer.stdout
    assert answer.json["changed"] == []
    asked = [call.split(" image ")[1].split()[0] for call in minikube.calls if " image " in call]
    assert asked == ["ls", "pull", "pull", "ls", "load", "load", "ls"]


@pytest.mark.parametrize("minikube", ["load-brings-nothing"], indirect=True)
def test_images_that_do_not_arrive_are_said_before_anything_is_written(
    minikube: WithMinikube,
) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 1
    assert answer.codes == ["image-load-failed"]
    assert "images.source" not in answer.json["findings"][0]["remedy"]


@pytest.mark.parametrize("minikube", ["image-ls-fails"], indirect=True)
def test_any_call_that_fails_is_told_by_minikubes_own_reason(minikube: WithMinikube) -> None:
    answer = minikube.run("up", "--json")
    assert answer.exit_code == 3
    assert answer.codes == ["minikube-broken"]
    assert "GUEST_IMAGE_LIST: Failed to list images" in answer.json["findings"][0]["message"]


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
    assert "GUEST_START: failed to start node" in answer.json["findings"][0]["message"]
    assert "container runtime runs" in answer.json["findings"][0]["remedy"]


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
