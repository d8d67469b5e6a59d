"""Bills of materials in CycloneDX 1.6, one for each thing that is built, into the folder named.

What an image holds was noted when it was built, with the checksums of what was fetched; a Go
program tells its modules itself; Python's packages are those of the lock file.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from learnflow_infra import image_builder
from learnflow_infra.cluster.local import build
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import process
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services import registry

_SECONDS = 3600
_ROOT = Path(__file__).parents[1]
_MAVEN = "{http://maven.apache.org/POM/4.0.0}"


def main(folder: Path) -> None:
    deadline = Deadline(_SECONDS)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    folder.mkdir(parents=True, exist_ok=True)
    for recipe in filter(None, (service.recipe for service in registry.own())):
        archive = image_builder.archive(recipe, deadline, say)
        name, version = recipe.reference.split(":")
        parts = list(debian_packages(archive.with_suffix(".packages")))
        if (recipe.folder / "pom.xml").exists():
            parts += jars(recipe.folder)
        subject = Component(name=name, version=version, type=ComponentType.CONTAINER)
        write(folder / f"{name.rpartition('/')[2]}-image.cdx.json", subject, parts)
    build.programs(deadline, say)
    program = Component(name="learnflow-local", type=ComponentType.APPLICATION)
    write(folder / "local-cluster.cdx.json", program, go_modules(build.binary(), deadline))
    tool = Component(name="learnflow-infra", type=ComponentType.APPLICATION)
    write(folder / "python.cdx.json", tool, python_packages())


def write(file: Path, subject: Component, parts: Iterable[Component]) -> None:
    bom = Bom(components=parts)
    bom.metadata.component = subject
    bom.register_dependency(subject, bom.components)
    file.write_text(JsonV1Dot6(bom).output_as_string(indent=1))
    print(f"{file}: {len(bom.components)} components")


def debian_packages(noted: Path) -> Iterable[Component]:
    for line in noted.read_text().splitlines():
        name, version, architecture, digest = line.split()
        qualifiers = {"arch": architecture, "distro": "trixie"}
        purl = PackageURL("deb", "debian", name, version, qualifiers)
        yield _library(purl, [digest])


def jars(recipe: Path) -> Iterable[Component]:
    """The artifacts of a recipe's pom.xml, each with its jar's checksum."""
    lines = (recipe / "jars.sha256").read_text().splitlines()
    digests = {name: digest for digest, name in map(str.split, lines)}
    for each in ElementTree.parse(recipe / "pom.xml").iter(f"{_MAVEN}dependency"):
        group, name, version, kind = (
            each.findtext(f"{_MAVEN}{tag}", "")
            for tag in ("groupId", "artifactId", "version", "classifier")
        )
        jar = "-".join(filter(None, (name, version, kind))) + ".jar"
        qualifiers = {"classifier": kind} if kind else None
        yield _library(PackageURL("maven", group, name, version, qualifiers), [digests.pop(jar)])
    assert not digests, f"jars that no artifact of pom.xml explains: {sorted(digests)}"


def go_modules(program: Path, deadline: Deadline) -> Iterable[Component]:
    """The modules that the linker put in; Go's own checksum (h1) is no hash of a file."""
    said = process.run(["go", "version", "-m", str(program)], deadline=deadline).stdout
    modules: list[list[str]] = []
    for line in said.splitlines():
        kind, *words = line.split() or [""]
        if kind == "dep":
            modules.append(words)
        elif kind == "=>":  # it stands in the place of the one before
            modules[-1] = words
    yield _library(PackageURL("golang", None, "std", said.split("\n")[0].rpartition(" go")[2]), [])
    for path, version, *_ in modules:
        namespace, _, name = path.rpartition("/")
        yield _library(PackageURL("golang", namespace, name, version), [])


def python_packages() -> Iterable[Component]:
    """Those that the command needs, each with the checksums of which one must fit."""
    text = (_ROOT / "requirements" / "run.lock").read_text()
    for entry in re.split(r"\n(?=\S)", text):
        if match := re.match(r"([\w.-]+)==(\S+)", entry):
            digests = re.findall(r"--hash=sha256:(\w+)", entry)
            yield _library(PackageURL("pypi", None, match[1], match[2]), digests)


def _library(purl: PackageURL, digests: Iterable[str]) -> Component:
    return Component(
        name=purl.name,
        group=purl.namespace,
        version=purl.version,
        purl=purl,
        bom_ref=purl.to_string(),
        type=ComponentType.LIBRARY,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=each) for each in digests],
    )


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Failure as failure:
        raise SystemExit(str(failure)) from None
