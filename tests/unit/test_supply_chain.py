"""Every dependency is pinned, and verified by what is written down here."""

from __future__ import annotations

import importlib
import json
import re
import tomllib
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
from packaging.requirements import Requirement

from learnflow_infra import settings
from learnflow_infra.cluster import canonical
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import Completed
from learnflow_infra.image_builder.recipe import BASE, pins
from learnflow_infra.kubernetes import manifests
from learnflow_infra.services import registry
from learnflow_infra.services.kafka.image import RECIPE as KAFKA
from learnflow_infra.services.postgres.image import RECIPE as POSTGRES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "lock",
    [*sorted(ROOT.glob("requirements/*.lock")), ROOT / "tests/clients/python.lock"],
    ids=lambda x: x.stem,
)
def test_every_python_package_is_locked_by_hash(lock: Path) -> None:
    entries = [x for x in re.split(r"\n(?=\S)", lock.read_text()) if not x.startswith("#")]
    for entry in entries:
        assert re.match(
            r"[\w.-]+==\S+( ; [^\\\n]+)? \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n?)+$", entry
        )


def test_the_locks_are_of_what_is_asked_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    build = (ROOT / "requirements/build.in").read_text().split()
    asked = {
        "run": project["dependencies"] + build,
        "dev": project["dependencies"] + build + project["optional-dependencies"]["dev"],
        "supply": project["dependencies"] + project["optional-dependencies"]["supply"],
    }
    for name, requirements in asked.items():
        lock = (ROOT / "requirements" / f"{name}.lock").read_text()
        pinned = dict(re.findall(r"^([\w.-]+)==([^ ]+)", lock, re.MULTILINE))
        for each in map(Requirement, requirements):
            assert pinned[each.name.lower()] in each.specifier, f"{each}: make lock"


def test_every_jar_is_an_exact_artifact_with_a_checksum() -> None:
    lines = (KAFKA.folder / "jars.sha256").read_text().splitlines()
    digests = {name: digest for digest, name in map(str.split, lines)}
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests.values())
    maven = "{http://maven.apache.org/POM/4.0.0}"
    jars = set()
    for each in ElementTree.parse(KAFKA.folder / "pom.xml").iter(f"{maven}dependency"):
        words = [each.findtext(maven + tag) for tag in ("artifactId", "version", "classifier")]
        assert re.fullmatch(r"[\w.-]+", words[1] or "")
        jars.add("-".join(filter(None, words)) + ".jar")
    assert jars == set(digests)


@pytest.mark.parametrize("module", sorted(ROOT.glob("*/**/go.mod")), ids=lambda x: x.parent.name)
def test_every_go_module_has_a_checksum(module: Path) -> None:
    """A main module's own replacements by folders aside."""
    text = module.read_text()
    replaced = dict(re.findall(r"^\s*(?:replace )?(\S+) => (\S+ v\S+)", text, re.MULTILINE))
    required = re.findall(r"^(?:require)?\s+(\S+) (v\S+)", text, re.MULTILINE)
    sums = module.with_name("go.sum").read_text() if required else ""
    for path, version in required:
        assert f"{replaced.get(path, f'{path} {version}')}/go.mod h1:" in sums


@pytest.mark.parametrize("folder", [BASE, KAFKA.folder, POSTGRES.folder], ids=str)
def test_every_debian_package_has_its_version(folder: Path) -> None:
    assert pins(folder)
    assert all(re.match(r"[\w.+:~-]*\d", version) for version in pins(folder).values())


def test_an_image_may_be_named_by_its_digest(tmp_path: Path) -> None:
    image = f"postgres:17.12@sha256:{'0a' * 32}"
    file = tmp_path / "infra.toml"
    file.write_text(f'[postgres]\nimage = "{image}"\n')
    loaded = settings.load(str(file), registry.sections)
    assert f"image: {image}\n" in manifests.to_yaml(registry.find("postgres").objects(loaded))
    assert canonical(image) == f"docker.io/library/{image}"


def test_a_vulnerable_go_module_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        {"SBOM": {"modules": [{"path": "example.com/one"}, {"path": "example.com/two"}]}},
        {"osv": {"id": "GO-1", "summary": "Reads\ntoo much"}},
        {"finding": {"osv": "GO-1", "trace": [{"module": "example.com/one", "version": "v1.0"}]}},
        {
            "finding": {
                "osv": "GO-1",
                "fixed_version": "v1.1",
                "trace": [{"module": "example.com/one", "version": "v1.0", "function": "Read"}],
            }
        },
    ]
    completed = Completed((), 0, "\n".join(json.dumps(each, indent=1) for each in said), "")
    programs = SimpleNamespace(node=Path("node"))
    monkeypatch.syspath_prepend(ROOT / "tools")
    vulnerabilities = importlib.import_module("vulnerabilities")
    monkeypatch.setattr(vulnerabilities.build, "programs", lambda *_: programs)
    monkeypatch.setattr(vulnerabilities.process, "run", lambda *_, **__: completed)
    judged = vulnerabilities.go(Deadline(1))
    assert judged.parts == 2
    assert judged.found == ["example.com/one v1.0: GO-1 Reads too much, fixed in v1.1"]
