"""The image compatible with `postgres`: PostgreSQL from Debian."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.image_builder.root import Root, failed

_USER = 999
_MAJOR = "17"

_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    f":/usr/lib/postgresql/{_MAJOR}/bin",
    "LANG": "en_US.utf8",
    "PG_MAJOR": _MAJOR,
    "PGDATA": "/var/lib/postgresql/data",
}


def _fill(root: Root, scratch: Path) -> None:
    root.add_user("postgres", _USER, "/var/lib/postgresql")
    root.add_files(RECIPE.folder / "files")
    root.folder("docker-entrypoint-initdb.d", 0o755, (0, 0))
    root.folder("var/lib/postgresql", 0o1777, (_USER, _USER))
    root.folder("var/lib/postgresql/data", 0o1777, (_USER, _USER))
    root.folder("run/postgresql", 0o3777, (_USER, _USER))
    _listen_everywhere(root)
    root.run_inside(
        "compiling the locale en_US.UTF-8",
        ("localedef", "-i", "en_US", "-f", "UTF-8", "en_US.UTF-8"),
        environment=_ENVIRONMENT,
    )
    shutil.rmtree(root.path / "usr/share/i18n")


def _listen_everywhere(root: Root) -> None:
    """A container's server listens on all of the container's addresses."""
    name = f"usr/share/postgresql/{_MAJOR}/postgresql.conf.sample"
    text, changed = re.subn(
        r"(?m)^#?listen_addresses\s*=\s*'localhost'",
        "listen_addresses = '*'",
        (root.path / name).read_text(),
    )
    if changed != 1:
        raise failed("postgresql.conf.sample has no listen_addresses to set", root.log)
    root.write(name, text)


RECIPE = Recipe(
    folder=Path(__file__).parent,
    reference="postgres:17.12",
    name="postgres",
    main_package=f"postgresql-{_MAJOR}",
    run_as="0:0",  # the entry point steps down
    environment=_ENVIRONMENT,
    settings={
        "ExposedPorts": {"5432/tcp": {}},
        "Entrypoint": ["docker-entrypoint.sh"],
        "Cmd": ["postgres"],
        "Volumes": {"/var/lib/postgresql/data": {}},
        "StopSignal": "SIGINT",
    },
    fill=_fill,
)
