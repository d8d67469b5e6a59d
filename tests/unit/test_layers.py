"""The rooms lie in layers: nothing is imported from above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import learnflow_infra

ROOT = Path(learnflow_infra.__file__).parent
LAYERS = (
    ("findings",),
    ("host",),
    ("settings",),
    ("kubernetes", "image_builder"),
    ("cluster",),
    ("services",),
    ("diagnosis",),
    ("pipeline", "report"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
HEIGHT = {room: height for height, rooms in enumerate(LAYERS) for room in rooms}


def imported(file: Path) -> Iterator[tuple[str, ...]]:
    """The parts below the package of each module, or name in one, that a file imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("learnflow_infra"):
            parts = tuple((node.module or "").split(".")[1:])
            yield from ((*parts, each.name) for each in node.names)


def arrows() -> set[tuple[str, str]]:
    """Which room imports from which other."""
    return {
        (room, parts[0])
        for file in ROOT.rglob("*.py")
        if (room := file.relative_to(ROOT).parts[0].removesuffix(".py")) in HEIGHT
        for parts in imported(file)
        if parts[0] in HEIGHT and parts[0] != room
    }


def test_every_module_lies_in_a_room() -> None:
    rooms = {file.relative_to(ROOT).parts[0].removesuffix(".py") for file in ROOT.rglob("*.py")}
    assert rooms - {"__init__", "_shipped"} == HEIGHT.keys()


def test_nothing_is_imported_from_above_or_beside() -> None:
    assert {arrow for arrow in arrows() if HEIGHT[arrow[1]] >= HEIGHT[arrow[0]]} == set()


def test_no_service_knows_another() -> None:
    for name, other in (("kafka", "postgres"), ("postgres", "kafka")):
        for file in (ROOT / "services" / name).rglob("*.py"):
            assert all(parts[:2] != ("services", other) for parts in imported(file)), file


def test_nothing_outside_knows_a_service_by_name() -> None:
    for file in ROOT.rglob("*.py"):
        if file.relative_to(ROOT).parts[0] != "services":
            for name in ("kafka", "postgres"):
                assert all(parts[:2] != ("services", name) for parts in imported(file)), file
