"""Builds the node's programs from the Go module, once for each version of it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

from learnflow_infra.cluster.local import layout
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import debian, paths, process
from learnflow_infra.host.deadline import Deadline

_PACKAGES = {
    "containerd": "containerd",
    "containerd-shim-runc-v2": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ptp": "containernetworking-plugins",
    "host-local": "containernetworking-plugins",
    "loopback": "containernetworking-plugins",
}
_BINARY, _ADMIT, _PAUSE = layout.NAME, "admit", "pause.tar"
_GO = {"CGO_ENABLED": "0", "GOWORK": "off"}
_LEAST_GO = (1, 21)  # older ones cannot fetch the version that the module asks for
_SAY_SECONDS = 5.0
_LONG_SECONDS = 3600.0


def folder() -> Path:
    """Where the builds are: one folder for each version of the module."""
    return paths.cache() / "local-cluster"


def binary() -> Path:
    """The multi-call binary of this version, built or not."""
    return folder() / _key() / _BINARY


def obstacle() -> str | None:
    """Why the programs cannot be built here, if they are not built yet."""
    if binary().exists():
        return None
    if shutil.which("go") is None:
        return "it is built with Go, and there is no `go` on PATH"
    version = process.run(["go", "env", "GOVERSION"], deadline=Deadline(30)).stdout.strip()
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    if numbers and tuple(map(int, numbers.groups())) < _LEAST_GO:
        return f"it is built with Go 1.21 or newer, and this is {version}"
    return None


def programs(deadline: Deadline, say: Callable[[str], None]) -> layout.Programs:
    """Everything that the node runs, fetched and built if need be.

    Raises Failure(local-cluster-build-failed, programs-missing).
    """
    environment = debian.programs(_PACKAGES, deadline=deadline, say=say)
    target = folder() / _key()
    if not target.is_dir():
        _build(target, deadline, say)
    return layout.Programs(target / _BINARY, target / _ADMIT, target / _PAUSE, environment)


@cache
def _key() -> str:
    digest = hashlib.sha256(Path(__file__).read_bytes())
    source = paths.shipped("local-cluster")
    for file in sorted((*source.glob("go.*"), *source.rglob("*.go"))):
        if file.stem.endswith("_test"):
            continue
        digest.update(f"{file.relative_to(source)}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]


def _build(target: Path, deadline: Deadline, say: Callable[[str], None]) -> None:
    version = _kubernetes_version()
    target.parent.mkdir(parents=True, exist_ok=True)
    say(f"building Kubernetes {version} (once; some minutes)")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as name:
        work = Path(name, "done")
        work.mkdir()
        major, minor = version.removeprefix("v").split(".")[:2]
        stamp = "k8s.io/component-base/version"
        flags = (
            f"-s -w -X {stamp}.gitVersion={version} -X {stamp}.gitMajor={major}"
            f" -X {stamp}.gitMinor={minor} -X {stamp}.gitTreeState=clean"
        )
        _go_build(".", work / _BINARY, flags, deadline, say)
        _go_build("./admit", work / _ADMIT, "-s -w", deadline, say)
        _go_build("./pause", Path(name, "pause"), "-s -w", deadline, say)
        _pause_archive(Path(name, "pause"), work / _PAUSE)
        try:
            work.rename(target)
        except OSError:
            if not target.is_dir():  # else another build was quicker
                raise


def _go_build(
    package: str, output: Path, flags: str, deadline: Deadline, say: Callable[[str], None]
) -> None:
    source = paths.shipped("local-cluster")
    log = folder() / "build.log"
    argv = ["go", "build", "-C", str(source), "-trimpath", "-buildvcs=false", "-v"]
    with log.open("wb") as output_file:
        builder = process.start(
            [*argv, f"-ldflags={flags}", "-o", str(output), package],
            stdout=output_file.fileno(),
            stderr=output_file.fileno(),
            env=_GO,
        )
        last_message = time.monotonic()
        try:
            while builder.poll() is None:
                deadline.remaining()
                time.sleep(0.1)
                if time.monotonic() - last_message >= _SAY_SECONDS:
                    last_message = time.monotonic()
                    lines = log.read_text(errors="replace").splitlines()
                    compiled = sum(1 for line in lines if not line.startswith("go: "))
                    say(f"{compiled} packages compiled" if compiled else "fetching Go modules")
        finally:
            process.end(builder)
    if builder.returncode != 0:
        lines = log.read_text(errors="replace").strip().splitlines()
        reason = next((line for line in reversed(lines) if " " in line), "go ended without a word")
        raise Failure(finding("local-cluster-build-failed", f"{reason[:300]}; see {log}"))


def _kubernetes_version() -> str:
    text = (paths.shipped("local-cluster") / "go.mod").read_text()
    found = re.search(r"^\s*k8s\.io/kubernetes (v\S+)$", text, re.MULTILINE)
    assert found is not None
    return found.group(1)


def _pause_archive(program: Path, archive: Path) -> None:
    """An image of one file, in the form that `docker save` gives."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        entry = tarfile.TarInfo("pause")
        entry.mode, entry.size = 0o755, program.stat().st_size
        with program.open("rb") as content:
            tar.addfile(entry, content)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    machine = process.run(["go", "env", "GOARCH"], deadline=Deadline(30)).stdout.strip()
    config = {
        "architecture": machine,
        "os": "linux",
        "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [
        {"Config": "config.json", "RepoTags": [layout.PAUSE_IMAGE], "Layers": ["layer.tar"]}
    ]
    with tarfile.open(archive, "w") as tar:
        for name, content_bytes in (
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
            ("layer.tar", layer.getvalue()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content_bytes)
            tar.addfile(entry, io.BytesIO(content_bytes))


if __name__ == "__main__":  # so that tests, which reach no registry, find everything in place
    try:
        programs(Deadline(_LONG_SECONDS), lambda line: print(line, flush=True))
    except Failure as failure:
        sys.exit(str(failure))
