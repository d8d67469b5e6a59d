"""Compatible images: what is asked for, what is pinned, and what the tars hold."""

from __future__ import annotations

import hashlib
import json
import os
import re
import tarfile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from learnflow_infra import image_builder
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.layers import write_archive, write_layer
from learnflow_infra.image_builder.recipe import BASE, Recipe, pins
from learnflow_infra.image_builder.root import Root
from learnflow_infra.services.kafka import image as kafka_image
from learnflow_infra.services.postgres import image as postgres_image

KAFKA, POSTGRES = RECIPES = (kafka_image.RECIPE, postgres_image.RECIPE)
FOLDERS = {"base": BASE, **{each.name: each.folder for each in RECIPES}}


def quiet(_: str) -> None:
    pass


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "learnflow-infra" / "images"


def tree(root: Path) -> Path:
    (root / "etc").mkdir(parents=True)
    (root / "etc/b.conf").write_text("b")
    (root / "etc/a.conf").write_text("a")
    (root / "run.sh").write_text("#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "link").symlink_to("etc/a.conf")
    for path in (root, *root.rglob("*")):
        os.utime(path, (1000, 1000), follow_symlinks=False)
    return root


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda each: each.name)
def test_an_archive_once_built_is_used_again(recipe: Recipe, cache: Path) -> None:
    built = cache / f"{recipe.name}-{recipe.digest()}.tar"
    cache.mkdir(parents=True)
    built.write_bytes(b"an earlier build's")
    assert image_builder.archive(recipe, Deadline(5), quiet) == built
    assert built.read_bytes() == b"an earlier build's"


def test_a_second_builder_waits_no_longer_than_its_deadline(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        image_builder._alone(lock, Deadline(5)),
        pytest.raises(Failure) as failure,
        image_builder._alone(lock, Deadline(0.2)),
    ):
        pytest.fail("two hold the lock")
    assert failure.value.findings[0].code == "deadline-passed"


def test_without_root_it_says_that_root_is_needed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Failure, match="needs root"):
        image_builder.archive(KAFKA, Deadline(5), quiet)


def test_a_failed_step_tells_its_reason_and_its_log(tmp_path: Path) -> None:
    root = Root(tmp_path, tmp_path / "log", {}, Deadline(5), quiet)
    with pytest.raises(Failure) as failure:
        root.run("unpacking", ["sh", "-c", "echo first; echo no room >&2; exit 3"])
    (finding,) = failure.value.findings
    assert finding.code == "image-build-failed"
    assert finding.message == f"unpacking failed: no room (log: {tmp_path}/log)"
    assert "first" in (tmp_path / "log").read_text()


def test_a_step_that_hangs_is_ended(tmp_path: Path) -> None:
    root = Root(tmp_path, tmp_path / "log", {}, Deadline(5), quiet)
    with pytest.raises(Failure, match=r"unpacking did not end within 0\.2 s"):
        root.run("unpacking", ["sleep", "60"], seconds=0.2)


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_every_package_is_pinned_once(folder: Path) -> None:
    text = (folder / "packages.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9.+-]+ [A-Za-z0-9.+:~-]+", line) for line in lines)
    assert len(pins(folder)) == len(lines) > 0


def test_no_package_is_in_the_base_and_above_it() -> None:
    base = pins(BASE).keys()
    for recipe in RECIPES:
        assert not base & pins(recipe.folder).keys()


def test_what_is_pinned_is_what_the_references_say() -> None:
    version = POSTGRES.reference.removeprefix("postgres:")
    assert pins(POSTGRES.folder)[f"postgresql-{postgres_image._MAJOR}"].startswith(f"{version}-")
    assert version.startswith(f"{postgres_image._MAJOR}.")
    assert _jars()["kafka_2.13"] == _jars()["kafka-tools"] == KAFKA.reference.split(":")[1]


def test_every_jar_has_a_version_and_a_checksum() -> None:
    lines = (KAFKA.folder / "jars.sha256").read_text().splitlines()
    sums = {name: digest for digest, name in (line.split() for line in lines)}
    assert sums.keys() == {f"{name}-{version}.jar" for name, version in _jars().items()}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in sums.values())


def _jars() -> dict[str, str]:
    namespace = {"m": "http://maven.apache.org/POM/4.0.0"}
    project = ElementTree.parse(KAFKA.folder / "pom.xml")
    return {
        each.findtext("m:artifactId", "", namespace): each.findtext("m:version", "", namespace)
        for each in project.iterfind("m:dependencies/m:dependency", namespace)
    }


def test_every_documented_command_of_kafka_runs_its_class() -> None:
    tools = dict(kafka_image._tools((KAFKA.folder / "tools.txt").read_text()))
    files = KAFKA.folder / "files" / "opt" / "kafka" / "bin"
    there = {f"{name}.sh" for name in tools} | {path.name for path in files.iterdir()}
    assert there >= {
        f"kafka-{each}.sh"
        for each in (
            *("server-start", "server-stop", "run-class", "storage", "topics", "configs", "acls"),
            *("console-producer", "console-consumer", "consumer-groups", "metadata-quorum"),
            *("cluster", "broker-api-versions", "features", "log-dirs", "leader-election"),
        )
    }
    assert tools["kafka-topics"] == (
        '#!/bin/bash\nexec "$(dirname "$0")/kafka-run-class.sh" '
        'org.apache.kafka.tools.TopicCommand "$@"\n'
    )
    assert "KAFKA_HEAP_OPTS:--Xmx512M" in tools["kafka-console-producer"]


def test_a_layer_holds_what_the_root_holds(tmp_path: Path) -> None:
    layer = write_layer(tree(tmp_path / "root"), tmp_path / "layer.tar")
    with tarfile.open(layer.tar) as content:
        assert content.getnames() == ["etc", "etc/a.conf", "etc/b.conf", "link", "run.sh"]
        assert content.getmember("run.sh").mode == 0o755
        assert content.getmember("link").linkname == "etc/a.conf"
        assert content.getmember("etc/a.conf").mtime == 1000
    assert layer.digest == hashlib.sha256(layer.tar.read_bytes()).hexdigest()


def test_the_same_root_gives_the_same_bytes(tmp_path: Path) -> None:
    first = write_layer(tree(tmp_path / "one"), tmp_path / "one.tar")
    second = write_layer(tree(tmp_path / "two"), tmp_path / "two.tar")
    assert first.digest == second.digest


def test_a_layer_holds_only_what_came_after_the_one_below(tmp_path: Path) -> None:
    root = tree(tmp_path / "root")
    lower = write_layer(root, tmp_path / "lower.tar")
    (root / "etc/c.conf").write_text("c")
    (root / "etc/a.conf").write_text("changed")
    upper = write_layer(root, tmp_path / "upper.tar", lower.entries)
    with tarfile.open(upper.tar) as content:
        assert content.getnames() == ["etc/a.conf", "etc/c.conf"]


def test_an_archive_names_its_image_and_layers(tmp_path: Path) -> None:
    layer = write_layer(tree(tmp_path / "root"), tmp_path / "layer.tar")
    target = tmp_path / "image.tar"
    write_archive(
        target,
        reference="example:1",
        architecture="amd64",
        created="2026-01-01T00:00:00+00:00",
        settings={"Cmd": ["run"]},
        layers=[layer],
    )
    with tarfile.open(target) as content:

        def read(name: str) -> bytes:
            file = content.extractfile(name)
            assert file is not None
            return file.read()

        (manifest,) = json.loads(read("manifest.json"))
        assert manifest["RepoTags"] == ["example:1"]
        configuration = read(manifest["Config"])
        assert manifest["Config"] == f"{hashlib.sha256(configuration).hexdigest()}.json"
        assert json.loads(configuration)["config"] == {"Cmd": ["run"]}
        assert json.loads(configuration)["rootfs"]["diff_ids"] == [
            f"sha256:{hashlib.sha256(read(name)).hexdigest()}" for name in manifest["Layers"]
        ]
