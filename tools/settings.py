"""What is told of settings from their one table: the scope's infra.toml with its schema, and the
reference that each agent skill brings, written into a checkout."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from learnflow_infra.commands.init import init
from learnflow_infra.services import registry
from learnflow_infra.settings import PLACE, every_section, reference

ROOT = Path(__file__).resolve().parents[1]
_HEAD = """\
# Settings

In `{place}` of the project; `learnflow-infra init` writes the
file, `learnflow-infra explain SETTING` answers from the same source. What is not in the file keeps
its default. After a change run `scripts/deploy.py`. For example:

```toml
{example}
```

```text
{settings}
```
"""
EXAMPLES = {
    "kafka": """\
[kafka]
user_groups = ["billing", "learnflow.*"]
[[kafka.topics]]
name = "orders"
partitions = 6
config = { "cleanup.policy" = "compact", "retention.ms" = 604800000 }""",
    "postgres": """\
[postgres]
extensions = ["pg_trgm"]
users = [{ name = "reports", access = "read" }]
databases = [{ name = "analytics", init = ["analytics.sql"] }]
parameters = { max_connections = 200 }""",
}


def page(service: str) -> str:
    """The reference of one service's skill."""
    sections = every_section(registry.sections(None))
    lines = reference.explained(sections, service)
    for name, kind in reference.tables_of(sections[service]).items():
        lines += [f"each of {name}:", *(f"  {line}" for line in reference.each_of(kind))]
    return _HEAD.format(place=PLACE, example=EXAMPLES[service], settings="\n".join(lines))


def pages() -> dict[Path, str]:
    return {
        service.skill / "references/settings.md": page(service.name)
        for service in registry.own()
        if service.skill is not None
    }


def main(root: Path) -> None:
    (root / PLACE).unlink(missing_ok=True)
    init(cast("Any", SimpleNamespace(options={"folder": str(root)})))
    for path, text in pages().items():
        file = root / path.relative_to(ROOT)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
