"""The image compatible with `valkey/valkey`: Valkey from Debian."""

from __future__ import annotations

from pathlib import Path

from learnflow_infra.image_builder.recipe import Recipe
from learnflow_infra.image_builder.root import Root

_USER = 999


def _fill(root: Root, scratch: Path) -> None:
    root.add_user("valkey", _USER, "/var/lib/valkey")
    root.folder("var/lib/valkey", 0o755, (_USER, _USER))


RECIPE = Recipe(
    folder=Path(__file__).parent,
    reference="valkey/valkey:8.1.1",
    name="valkey",
    main_package="valkey-server",
    run_as=f"{_USER}:{_USER}",
    environment={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
    settings={
        "User": "valkey",
        "ExposedPorts": {"6379/tcp": {}},
        "Cmd": ["valkey-server"],
        "Volumes": {"/var/lib/valkey": {}},
    },
    fill=_fill,
)
