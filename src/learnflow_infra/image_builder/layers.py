"""Image files: layers as tars of what a root file system gained, and the docker-archive around."""

from __future__ import annotations

import hashlib
import io
import json
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

# What a file looked like when a layer took it up: it is taken up again only when this changes.
Entries = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Layer:
    tar: Path
    digest: str  # sha256 in hex, of the tar as it is
    entries: Entries


class _Hashing(io.RawIOBase):
    """Writes through to a file and hashes what passes."""

    def __init__(self, target: BinaryIO) -> None:
        self._target = target
        self.sha256 = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.sha256.update(data)
        return self._target.write(data)


def write_layer(root: Path, tar: Path, below: Entries | None = None) -> Layer:
    """Writes what `root` holds beyond the layer `below` as a tar, sorted by name.

    Files that are gone since are not told of: layers here only add.
    """
    below = below or {}
    entries = dict(below)
    with tar.open("wb") as file:
        hashing = _Hashing(file)
        # Large blocks; the unbuffered stream mode would call the hash for each 512 bytes.
        with tarfile.open(
            fileobj=cast(Any, hashing), mode="w|", bufsize=1 << 20, format=tarfile.PAX_FORMAT
        ) as archive:
            for name, path in _walk(root):
                seen = _appearance(path)
                if below.get(name) == seen:
                    continue
                entries[name] = seen
                _add(archive, path, name)
    return Layer(tar, hashing.sha256.hexdigest(), entries)


def write_archive(
    target: Path,
    *,
    reference: str,
    architecture: str,
    created: str,
    settings: Mapping[str, Any],
    layers: Sequence[Layer],
) -> None:
    """Writes a docker-archive (what `docker save` makes) of one image.

    `settings` is the `config` object of the OCI image configuration.
    """
    configuration = json.dumps(
        {
            "architecture": architecture,
            "os": "linux",
            "created": created,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in layers]},
            "history": [{"created": created, "created_by": "learnflow-infra"} for _ in layers],
        },
        sort_keys=True,
    ).encode()
    name = f"{hashlib.sha256(configuration).hexdigest()}.json"
    manifest = [
        {
            "Config": name,
            "RepoTags": [reference],
            "Layers": [f"{each.digest}/layer.tar" for each in layers],
        }
    ]
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for layer in layers:
            member = tarfile.TarInfo(f"{layer.digest}/layer.tar")
            member.size = layer.tar.stat().st_size
            with layer.tar.open("rb") as source:
                archive.addfile(member, source)
        for member_name, data in ((name, configuration), ("manifest.json", json.dumps(manifest))):
            content = data.encode() if isinstance(data, str) else data
            member = tarfile.TarInfo(member_name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def _walk(root: Path) -> Iterator[tuple[str, Path]]:
    """Everything below `root`, folders before what they hold, in a fixed order."""
    for path in sorted(root.iterdir()):
        yield from _walk_from(path, path.name)


def _walk_from(path: Path, name: str) -> Iterator[tuple[str, Path]]:
    yield name, path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _walk_from(child, f"{name}/{child.name}")


def _appearance(path: Path) -> tuple[int, ...]:
    seen = path.lstat()
    owner = (seen.st_mode, seen.st_uid, seen.st_gid)
    if stat.S_ISDIR(seen.st_mode):  # its time and size change with what it holds
        return owner
    return (*owner, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def _add(archive: tarfile.TarFile, path: Path, name: str) -> None:
    member = archive.gettarinfo(path, name)
    member.mtime = int(member.mtime)
    member.uname = member.gname = ""
    if member.isreg():
        with path.open("rb") as content:
            archive.addfile(member, content)
    else:
        archive.addfile(member)
