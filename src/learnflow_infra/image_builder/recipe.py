"""What an image is made from: its recipe's folder, and what fills its root."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from learnflow_infra.image_builder.root import Root

# The recipe of the layer that all images share.
BASE = Path(__file__).parent / "base"


@dataclass(frozen=True)
class Recipe:
    """How one image is made.

    `folder` holds `packages.txt`, `prove.sh` and what else it is made from. `settings` is the
    `config` object of the OCI image configuration, without the environment. `fetch` gets what is no
    Debian package into a folder while those come; `fill` then makes the image's own files in a root
    that has its packages.
    """

    folder: Path
    reference: str
    name: str
    main_package: str
    run_as: str
    environment: Mapping[str, str]
    settings: Mapping[str, Any]
    fill: Callable[[Root, Path], None]
    fetch: Callable[[Root, Path], None] | None = None

    def digest(self) -> str:
        """Of all that the image is made from: the recipes and this package's own code."""
        digest = hashlib.sha256()
        for folder in (self.folder, Path(__file__).parent):
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.suffix != ".pyc":
                    digest.update(f"{path.relative_to(folder)}\0".encode())
                    digest.update(hashlib.sha256(path.read_bytes()).digest())
        return digest.hexdigest()[:16]


def pins(folder: Path) -> dict[str, str]:
    """The Debian packages of a recipe, each with its version."""
    text = (folder / "packages.txt").read_text()
    words = (line.split() for line in text.splitlines())
    return {each[0]: each[1] for each in words if each and not each[0].startswith("#")}
