"""The image compatible with `apache/kafka`: a JRE from Debian, Kafka from Maven Central."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from learnflow_infra.host import x509
from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.image_builder.root import Root, failed

_USER = 1000
_RUN_AS = f"{_USER}:{_USER}"

_ENVIRONMENT = {
    "PATH": "/opt/java/openjdk/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "JAVA_HOME": "/opt/java/openjdk",
    "LANG": "C.UTF-8",
}


def _fetch(root: Root, scratch: Path) -> None:
    """Fetches the jars, and holds them against their checksums."""
    if shutil.which("mvn", path=root.environment.get("PATH")) is None:
        raise failed(
            "Maven, which fetches Kafka, is not there: install the package maven", root.log
        )
    root.say("fetching Kafka from Maven Central")
    root.run(
        "fetching Kafka's jars",
        [
            *("mvn", "--batch-mode", "--quiet", "--strict-checksums", "--no-transfer-progress"),
            *("--file", RECIPE.folder / "pom.xml", "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={scratch / 'jars'}"),
        ],
    )
    lines = (RECIPE.folder / "jars.sha256").read_text().splitlines()
    expected = {(name, digest) for digest, name in map(str.split, lines)}
    found = {(path.name, _sha256(path)) for path in (scratch / "jars").iterdir()}
    if wrong := sorted({name for name, _ in expected ^ found}):
        raise failed(f"jars are not what jars.sha256 says: {', '.join(wrong[:5])}", root.log)


def _fill(root: Root, scratch: Path) -> None:
    """Lays Kafka out, and archives the classes that it loads."""
    _lay_out(root)
    _trust_authorities(root)
    for jar in (scratch / "jars").iterdir():
        jar.chmod(0o644)
        shutil.copy2(jar, root.path / "opt/kafka/libs")
    _own(root.path / "opt/kafka", _USER)
    root.settle()  # archives hold only for jars of the very same time
    root.say("archiving the classes that Kafka loads")
    _write_rehearsal(root)
    root.run_inside(
        "starting Kafka to archive its classes",
        ("bash", "-c", (RECIPE.folder / "rehearse.sh").read_text()),
        user=_RUN_AS,
        environment=_ENVIRONMENT,
    )
    shutil.rmtree(root.path / "rehearsal")


def _write_rehearsal(root: Root) -> None:
    """What the rehearsed server and its clients read, with a certificate for the occasion."""
    authority = x509.Authority.new("rehearsal", days=1)
    pair = authority.issue("kafka", 1, alternatives=["localhost"], client=False)
    for path in (RECIPE.folder / "rehearsal").iterdir():
        root.write(f"rehearsal/{path.name}", path.read_text())
    root.write("rehearsal/ca.crt", authority.pair.certificate)
    root.write("rehearsal/tls.pem", pair.key + pair.certificate)
    root.write("rehearsal/password", "rehearsal")


def _lay_out(root: Root) -> None:
    root.add_user("appuser", _USER, "/home/appuser")
    root.folder("home/appuser", 0o755, (_USER, _USER))
    java = next((root.path / "usr/lib/jvm").glob("java-21-openjdk-*"))
    root.folder("opt/java", 0o755, (0, 0))
    (root.path / "opt/java/openjdk").symlink_to(Path("/") / java.relative_to(root.path))
    root.add_files(RECIPE.folder / "files")
    for name, script in _tools((RECIPE.folder / "tools.txt").read_text()):
        root.write(f"opt/kafka/bin/{name}.sh", script)
    for name in ("server.properties", "log4j2.yaml", "tools-log4j2.yaml"):
        shutil.copy2(root.path / "opt/kafka/config" / name, root.path / "etc/kafka/docker" / name)
    for name in ("opt/kafka/libs", "usr/logs", "mnt/shared/config"):
        _own(root.folder(name, 0o755, (_USER, _USER)), _USER)
    for name in ("etc/kafka/secrets", "var/lib/kafka/data"):
        root.folder(name, 0o775, (_USER, 0))
    for name in ("etc/kafka", "var/lib/kafka"):
        _own(root.folder(name, 0o775, (_USER, 0)), 0)


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
        environment=_ENVIRONMENT,
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
        os.chown(path, _USER, group, follow_symlinks=False)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


RECIPE = Recipe(
    folder=Path(__file__).parent,
    reference="apache/kafka:4.3.0",
    name="kafka",
    main_package="openjdk-21-jre-headless",
    run_as=_RUN_AS,
    environment=_ENVIRONMENT,
    settings={
        "User": "appuser",
        "ExposedPorts": {"9092/tcp": {}},
        "Cmd": ["/etc/kafka/docker/run"],
        "Volumes": {"/etc/kafka/secrets": {}, "/var/lib/kafka/data": {}, "/mnt/shared/config": {}},
    },
    fetch=_fetch,
    fill=_fill,
)
