"""Applications' own clients: an image with their runtimes and libraries, and the skills' examples.

The image serves twice: as that of a pod, and unpacked, as the programs of a machine beside the
cluster.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

from learnflow_infra import image_builder
from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.image_builder.root import Root
from learnflow_infra.services import registry

FOLDER = Path(__file__).parent
REFERENCE = "docker.io/learnflow-test/clients:1"
_LOCK = FOLDER / "python.lock"
_USER = 1000
_PYTHON = "3.13"  # trixie's
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ":/usr/lib/jvm/java-21-openjdk-amd64/bin:/usr/lib/jvm/java-21-openjdk-arm64/bin",
    "LANG": "C.UTF-8",
    "PYTHONPATH": "/clients/python",
    "PYTHONDONTWRITEBYTECODE": "1",
    "NODE_PATH": "/clients/node/node_modules",
    "CLASSPATH": "/clients/java/*",
}


def _fetch(root: Root, scratch: Path) -> None:
    root.say("fetching clients' libraries")
    machine = platform.machine()
    root.run(
        "fetching Python's",
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary=:all:", "--python-version", _PYTHON),
            *("--platform", f"manylinux_2_28_{machine}", "--platform", f"manylinux2014_{machine}"),
            *("--platform", f"manylinux_2_17_{machine}", "--implementation", "cp"),
            *("--no-deps", "--target", scratch / "clients/python", "-r", _LOCK),
        ],
    )
    shutil.copytree(FOLDER / "node", scratch / "clients/node")
    npm = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    root.run("fetching Node.js's", [*npm, "--prefix", scratch / "clients/node"])
    for name in ("java", "connect"):
        root.run(
            f"fetching jars for {name}",
            [
                *("mvn", "--batch-mode", "--quiet", "--strict-checksums", "--no-transfer-progress"),
                *("--file", FOLDER / name / "pom.xml", "dependency:copy-dependencies"),
                *("-DincludeScope=runtime", f"-DoutputDirectory={scratch / 'clients' / name}"),
            ],
        )


def _fill(root: Root, scratch: Path) -> None:
    root.add_user("client", _USER, "/tmp")
    shutil.copytree(scratch / "clients", root.path / "clients", symlinks=True)
    root.run("letting all read them", ["chmod", "-R", "a+rX", root.path / "clients"])


RECIPE = Recipe(
    folder=FOLDER,
    reference=REFERENCE.removeprefix("docker.io/"),
    name="clients",
    main_package="nodejs",
    run_as=f"{_USER}:{_USER}",
    environment=ENVIRONMENT,
    settings={"Cmd": ["sleep", "infinity"]},
    fill=_fill,
    fetch=_fetch,
)


def archive(deadline: Deadline) -> Path:
    """The image, built at the first call. Raises Failure(image-build-failed)."""
    return image_builder.archive(RECIPE, deadline, print)


def unpacked(deadline: Deadline) -> Path:
    """The image's root as a folder, made at the first call. Raises Failure(image-build-failed)."""
    built = archive(deadline)
    target = paths.cache() / "clients" / built.stem
    if not target.is_dir():
        shutil.rmtree(target.parent, ignore_errors=True)
        making = target.with_suffix(".making")
        with tarfile.open(built) as image:
            manifest = image.extractfile("manifest.json")
            assert manifest is not None
            for layer in json.load(manifest)[0]["Layers"]:
                with tarfile.open(fileobj=image.extractfile(layer)) as tar:
                    tar.extractall(making, filter="fully_trusted")
        making.rename(target)
    return target


@dataclass(frozen=True)
class Example:
    """One block of code of a skill's reference."""

    service: str
    reference: str
    place: int
    """Which of the reference's blocks it is."""

    @property
    def language(self) -> str:
        return self._block[0]

    @property
    def code(self) -> str:
        return self._block[1]

    @property
    def _block(self) -> tuple[str, str]:
        skill = registry.find(self.service).skill
        assert skill is not None
        text = (skill / f"references/{self.reference}.md").read_text()
        blocks: list[tuple[str, str]] = re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)
        return blocks[self.place]


def build_go(code: str, program: Path) -> None:
    """Compile an example, of modules that `prepare` has fetched."""
    folder = program.with_suffix(".go.d")
    shutil.copytree(FOLDER / "go", folder)
    (folder / "main.go").write_text(code)
    subprocess.run(
        ["go", "build", "-C", folder, "-mod=mod", "-o", program, "."],
        env={**os.environ, "CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-modcacherw"},
        check=True,
        timeout=600,
    )
    shutil.rmtree(folder)


IN_GO = (Example("kafka", "go", 0), Example("postgres", "go", 0))
