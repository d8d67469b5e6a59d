"""Image provisioning, with a cluster that gives, loads or loses images as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from learnflow_infra import image_builder
from learnflow_infra.cluster import canonical
from learnflow_infra.cluster.context import Context
from learnflow_infra.cluster.local import LocalCluster
from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import CommandFailed, Completed
from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.pipeline.images import supply, with_loading
from learnflow_infra.services import Service, registry
from learnflow_infra.settings import Settings, parse

KAFKA, POSTGRES = "apache/kafka:4.3.0", "postgres:17.12"


class Node(LocalCluster):
    """Has images; `registry` are those that a pull brings, `loads` says whether loading works."""

    def __init__(self, *, registry: Iterable[str] = (), loads: bool = True) -> None:
        self.present: set[str] = set()
        self.registry = set(registry)
        self.loads = loads
        self.refusal = ""
        self.meeting = threading.Barrier(1)

    def images(self, deadline: Deadline) -> set[str]:
        return set(self.present)

    def pull(self, reference: str, deadline: Deadline) -> None:
        self.meeting.wait()
        if reference in self.registry:
            self.present.add(canonical(reference))
        elif self.refusal:
            raise CommandFailed(Completed(("ctr",), 1, "", self.refusal))

    def load(self, archive: Path, deadline: Deadline) -> None:
        if self.loads:
            self.present.add(canonical(archive.name.replace("_", "/")))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that were built, which name their archives here."""
    done: list[str] = []

    def archive(recipe: Recipe, *_: object) -> Path:
        done.append(recipe.reference)
        return Path(recipe.reference.replace("/", "_"))

    monkeypatch.setattr(image_builder, "archive", archive)
    return done


def alone(source: str) -> tuple[Settings, list[Service]]:
    """PostgreSQL, with images from there."""
    table = {"images": {"source": source}, "services": ["postgres"]}
    settings = parse(table, registry.sections)
    return settings, registry.of(settings)


def supplied(node: Node, source: str) -> list[str]:
    said: list[str] = []
    settings = parse({"images": {"source": source}}, registry.sections)
    supply(node, settings, registry.of(settings), Deadline(5), said.append)
    assert node.present >= {canonical(KAFKA), canonical(POSTGRES)}
    return said


def test_a_pull_that_ends_well_and_brings_nothing_is_made_up_for(built: list[str]) -> None:
    said = supplied(Node(registry=[KAFKA]), "auto")
    assert built == [POSTGRES]
    assert f"{POSTGRES}: no registry gave it" in said


def test_a_load_that_ends_well_and_brings_nothing_fails(built: list[str]) -> None:
    with pytest.raises(Failure) as failure:
        supplied(Node(loads=False), "packages")
    (told,) = failure.value.findings
    assert told.code == "image-load-failed"
    assert KAFKA in told.message and POSTGRES in told.message
    assert "images.source" not in told.remedy


def test_with_the_registry_alone_each_image_that_did_not_come_is_named(built: list[str]) -> None:
    with pytest.raises(Failure) as failure:
        supplied(Node(), "registry")
    assert [each.code for each in failure.value.findings] == ["image-not-pulled"] * 2
    assert built == []


def test_a_refusal_is_told_as_the_node_would(built: list[str]) -> None:
    node = Node(registry=[KAFKA])
    node.refusal = "failed to resolve: dial tcp: lookup registry: no such host"
    with pytest.raises(Failure) as failure:
        supplied(node, "registry")
    (told,) = failure.value.findings
    assert told.code == "image-registry-unreachable"
    assert POSTGRES in told.message


def test_images_are_pulled_side_by_side(built: list[str]) -> None:
    node = Node(registry=[KAFKA, POSTGRES])
    node.meeting = threading.Barrier(2, timeout=5)  # broken where one waits for the other
    supplied(node, "auto")
    assert built == []


@pytest.mark.parametrize(
    ("context", "command"),
    [
        ("kind-dev", "`kind load image-archive postgres:17.12 --name dev`"),
        ("k3d-dev", "`k3d image import postgres:17.12 --cluster dev`"),
        ("docker-desktop", "`docker load --input postgres:17.12`"),
        ("prod", "`ctr --namespace k8s.io images import postgres:17.12` on each node"),
    ],
)
def test_where_nothing_can_be_loaded_the_user_is_told_how(
    built: list[str], context: str, command: str
) -> None:
    loading = supply(Context(context), *alone("packages"), Deadline(5), lambda _: None)
    assert loading == {POSTGRES: command}
    failed = finding("image-registry-unreachable", "dial tcp"), finding("pods-not-ready", "0 of 1")
    pulled, other = with_loading(failed, POSTGRES, loading[POSTGRES])
    assert command in pulled.remedy
    assert "images.source" not in pulled.remedy
    assert other == failed[1]


def test_nodes_that_pull_for_themselves_are_left_to(built: list[str]) -> None:
    said: list[str] = []
    assert supply(Context("kind-dev"), *alone("auto"), Deadline(5), said.append) == {}
    assert said == [f"kind-dev: its nodes pull {POSTGRES} themselves"]
    assert built == []


def test_images_that_are_there_are_neither_pulled_nor_built(built: list[str]) -> None:
    node = Node()
    node.present = {canonical(KAFKA), canonical(POSTGRES)}
    node.meeting.abort()
    supplied(node, "auto")
    assert built == []


def test_an_image_without_a_recipe_is_refused_with_those_that_there_are(built: list[str]) -> None:
    settings = parse({"postgres": {"image": "postgres:9"}}, registry.sections)
    node = Node(registry=[KAFKA])

    def refused(reason: str) -> Finding:
        node.refusal = reason
        with pytest.raises(Failure) as failure:
            supply(node, settings, registry.of(settings), Deadline(5), lambda _: None)
        (finding,) = failure.value.findings
        return finding

    unreached = refused("dial tcp: lookup registry: no such host")
    assert unreached.code == "image-not-buildable"
    for named in ("postgres:9", KAFKA, POSTGRES, "no such host"):
        assert named in unreached.message
    assert refused("docker.io/library/postgres:9: not found").code == "image-not-found"
