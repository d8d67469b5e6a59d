"""The image compatible with `apache/kafka`: a JRE from Debian, Kafka from Maven Central."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from learnflow_infra.images.root import Root, failed

USER = 1000
RUN_AS = f"{USER}:{USER}"

ENVIRONMENT = {
    "PATH": "/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "JAVA_HOME": "/opt/java/openjdk",
    "LANG": "C.UTF-8",
}

SETTINGS: dict[str, Any] = {
    "User": "appuser",
    "ExposedPorts": {"9092/tcp": {}},
    "Cmd": ["/etc/kafka/docker/run"],
    "Volumes": {"/etc/kafka/secrets": {}, "/var/lib/kafka/data": {}, "/mnt/shared/config": {}},
}


def fill(root: Root, recipe: Path, scratch: Path) -> None:
    """Fills a root file system that has its packages, and archives the classes that it loads."""
    if shutil.which("mvn", path=root.environment.get("PATH")) is None:
        raise failed(
            "Maven, which fetches Kafka, is not there: install the package maven", root.log
        )
    with ThreadPoolExecutor(1) as pool:
        jars = pool.submit(_fetch_jars, root, recipe, scratch / "jars")
        _lay_out(root, recipe)
        _trust_authorities(root)
        libraries = root.path / "opt/kafka/libs"
        shutil.copytree(jars.result(), libraries)
    _own(libraries, USER)
    root.settle()  # archives hold only for jars of the very same time
    root.say("archiving the classes that Kafka loads")
    root.run_inside(
        "starting Kafka to archive its classes",
        ("bash", "-c", (recipe / "rehearse.sh").read_text()),
        user=RUN_AS,
        environment=ENVIRONMENT,
    )


def _lay_out(root: Root, recipe: Path) -> None:
    root.add_user("appuser", USER, "/home/appuser")
    root.folder("home/appuser", 0o755, (USER, USER))
    java = next((root.path / "usr/lib/jvm").glob("java-21-openjdk-*"))
    root.folder("opt/java", 0o755, (0, 0))
    (root.path / "opt/java/openjdk").symlink_to(Path("/") / java.relative_to(root.path))
    root.add_files(recipe / "files")
    for name, script in _tools((recipe / "tools.txt").read_text()):
        root.write(f"opt/kafka/bin/{name}.sh", script)
    for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
        shutil.copy2(root.path / "opt/kafka/config" / name, root.path / "etc/kafka/docker" / name)
    for name in ("opt/kafka", "usr/logs", "mnt/shared/config"):
        _own(root.folder(name, 0o755, (USER, USER)), USER)
    for name in ("etc/kafka/secrets", "var/lib/kafka/data"):
        root.folder(name, 0o775, (USER, 0))
    for name in ("etc/kafka", "var/lib/kafka"):
        _own(root.folder(name, 0o775, (USER, 0)), 0)


def _trust_authorities(root: Root) -> None:
    """Makes Java's store of the certificate authorities that Debian ships."""
    root.folder("etc/ssl/certs/java", 0o755, (0, 0))
    program = "/usr/share/ca-certificates-java/ca-certificates-java.jar"
    root.run_inside(
        "making Java's store of certificate authorities",
        (
            *("bash", "-euo", "pipefail", "-c"),
            "printf '+%s\\n' /usr/share/ca-certificates/mozilla/*.crt | "
            f"java -jar {program} -storepass changeit",
        ),
        environment=ENVIRONMENT,
    )


def _tools(table: str) -> Iterator[tuple[str, str]]:
    """Each tool's name and script, from a table of name, class and perhaps a default heap."""
    for line in table.splitlines():
        if line and not line.startswith("#"):
            name, java_class, *heap = line.split()
            script = ["#!/bin/bash"]
            if heap:
                script.append(f"export KAFKA_HEAP_OPTS=${{KAFKA_HEAP_OPTS:-{heap[0]}}}")
            script.append(f'exec "$(dirname "$0")/kafka-run-class.sh" {java_class} "$@"\n')
            yield name, "\n".join(script)


def _own(folder: Path, group: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, USER, group, follow_symlinks=False)


def _fetch_jars(root: Root, recipe: Path, target: Path) -> Path:
    root.say("fetching Kafka from Maven Central")
    root.run(
        "fetching Kafka's jars",
        [
            *("mvn", "--batch-mode", "--quiet", "--strict-checksums", "--no-transfer-progress"),
            *("--file", str(recipe / "pom.xml"), "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={target}"),
        ],
    )
    expected = {}
    for line in (recipe / "jars.sha256").read_text().splitlines():
        digest, name = line.split()
        expected[name] = digest
    found = {}
    for path in target.iterdir():
        with path.open("rb") as jar:
            found[path.name] = hashlib.file_digest(jar, "sha256").hexdigest()
    if wrong := sorted(name for name, _ in expected.items() ^ found.items()):
        raise failed(f"jars are not what jars.sha256 says: {', '.join(wrong[:5])}", root.log)
    return target
