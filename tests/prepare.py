"""Builds all that the tests run, since in their sandbox no package registry is reached."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import clients
from learnflow_infra import image_builder
from learnflow_infra.cluster.local import build
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.services.kafka.image import RECIPE as KAFKA
from learnflow_infra.services.postgres.image import RECIPE as POSTGRES

sys.path.insert(0, str(Path(__file__).with_name("third_service")))
from learnflow_valkey.image import RECIPE as VALKEY

SECONDS = 3600
_LOCK = Path(__file__).parents[1] / "requirements" / "run.lock"


def wheels() -> Path:
    """The folder of the wheels that the package needs at run time."""
    return paths.cache() / "wheels" / hashlib.sha256(_LOCK.read_bytes()).hexdigest()[:16]


def fetch_wheels() -> None:
    """Fill it. Raises subprocess.CalledProcessError."""
    if wheels().is_dir():
        return
    wheels().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=wheels().parent) as folder:
        pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
        chosen = ("--require-hashes", "-r", str(_LOCK), "--dest", f"{folder}/wheels")
        subprocess.run([*pip, "download", "--quiet", *chosen], check=True)
        Path(folder, "wheels").rename(wheels())


def say(line: str) -> None:
    print(line, flush=True)


def main() -> None:
    deadline = Deadline(SECONDS)
    fetch_wheels()
    with ThreadPoolExecutor(2) as pool:
        cluster = pool.submit(build.programs, deadline, say)
        for recipe in (KAFKA, POSTGRES, VALKEY):
            image_builder.archive(recipe, deadline, say)
        clients.unpacked(deadline)
        cluster.result()
        with tempfile.TemporaryDirectory() as folder:  # brings the modules, and compiles them
            for example in clients.IN_GO:
                clients.build_go(example.code, Path(folder, example.service))


if __name__ == "__main__":
    try:
        main()
    except Failure as failure:
        raise SystemExit(str(failure)) from None
