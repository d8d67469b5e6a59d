"""The image compatible with `postgres`: PostgreSQL from Debian."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from learnflow_infra.images.root import Root, failed

USER = 999
RUN_AS = "0:0"  # the entry point steps down
MAJOR = "17"

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    f":/usr/lib/postgresql/{MAJOR}/bin",
    "LANG": "en_US.utf8",
    "PG_MAJOR": MAJOR,
    "PGDATA": "/var/lib/postgresql/data",
}

SETTINGS: dict[str, Any] = {
    "ExposedPorts": {"5432/tcp": {}},
    "Entrypoint": ["docker-entrypoint.sh"],
    "Cmd": ["postgres"],
    "Volumes": {"/var/lib/postgresql/data": {}},
    "StopSignal": "SIGINT",
}


def fill(root: Root, recipe: Path, scratch: Path) -> None:
    """Fills a root file system that has its packages."""
    root.add_user("postgres", USER, "/var/lib/postgresql")
    root.add_files(recipe / "files")
    root.folder("docker-entrypoint-initdb.d", 0o755, (0, 0))
    root.folder("var/lib/postgresql", 0o1777, (USER, USER))
    root.folder("var/lib/postgresql/data", 0o1777, (USER, USER))
    root.folder("run/postgresql", 0o3777, (USER, USER))
    _listen_everywhere(root)
    root.run_inside(
        "compiling the locale en_US.UTF-8",
        ("localedef", "-i", "en_US", "-f", "UTF-8", "en_US.UTF-8"),
        environment=ENVIRONMENT,
    )
    shutil.rmtree(root.path / "usr/share/i18n")


def _listen_everywhere(root: Root) -> None:
    """A container's server listens on all of the container's addresses."""
    name = f"usr/share/postgresql/{MAJOR}/postgresql.conf.sample"
    text, changed = re.subn(
        r"(?m)^#?listen_addresses\s*=\s*'localhost'",
        "listen_addresses = '*'",
        (root.path / name).read_text(),
    )
    if changed != 1:
        raise failed("postgresql.conf.sample has no listen_addresses to set", root.log)
    root.write(name, text)
