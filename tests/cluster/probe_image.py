"""A container image of one static program, made on the spot: tests reach no registry."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path

REFERENCE = "docker.io/learnflow-test/probe:1"


def build(folder: Path) -> Path:
    """The program; beside it lies the image, as `docker save` would give it."""
    program = folder / "probe"
    subprocess.run(
        ["go", "build", "-C", Path(__file__).with_name("probe"), "-o", program, "."],
        env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
        check=True,
        timeout=300,
    )
    architecture = subprocess.run(
        ["go", "env", "GOARCH"], check=True, timeout=30, capture_output=True, text=True
    ).stdout.strip()
    layer = _tar({"probe": program.read_bytes()})
    config = {
        "architecture": architecture,
        "os": "linux",
        "config": {"Entrypoint": ["/probe"], "User": "1000:1000"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [REFERENCE], "Layers": ["layer.tar"]}]
    program.with_suffix(".tar").write_bytes(
        _tar(
            {
                "config.json": json.dumps(config).encode(),
                "manifest.json": json.dumps(manifest).encode(),
                "layer.tar": layer,
            }
        )
    )
    return program


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.mode, entry.size = 0o755, len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
