"""What the documents say of the code, held against the code."""

from __future__ import annotations

import ast
import re
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from learnflow_infra import cli

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/learnflow_infra"
PAGES = sorted(
    chain(ROOT.glob("*.md"), ROOT.glob("docs/**/*.md"), ROOT.glob("src/**/skill/**/*.md"))
)
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()
ROWS = dict(re.findall(r"^\| `(\w+(?:/|\.py))` \| (.*) \|$", ARCHITECTURE, re.MULTILINE))
(LINE,) = re.findall(r"^ {4}(cluster ► .* ► report)$", ARCHITECTURE, re.MULTILINE)
STEPS = LINE.split(" ► ")[1:-1]
PRINTS = {"print", "sys.stdout.write", "sys.stderr.write"}
# Modules of pipeline/ that are no step.
BESIDE = {"declared", "lease", "scope", "volumes", "put_back", "quotas", "unbound"}


def modules(folder: Path) -> set[str]:
    """Files and folders of a package, by the names that they are imported by."""
    names = {each.stem for each in folder.glob("*.py")}
    names |= {each.parent.name for each in folder.glob("*/__init__.py")}
    return names - {"__init__", "__main__"}


@pytest.mark.parametrize("page", PAGES, ids=lambda each: str(each.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [each for each in links if not (page.parent / each).exists()] == []


# An option, then a name that is no path: what pip and its like look up in an index.
BY_NAME = re.compile(
    r"\b(?:(?:pipx?|pip3|uv pip|uv tool) install|uv add|uvx|pipx run)"
    r" (?:-\S+ )*(\w[\w.-]*)(?![\w.*/-])"
)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("pip install learnflow-infra", ["learnflow-infra"]),
        ("`python3 -m pip install --user learnflow-infra`", ["learnflow-infra"]),
        ("uv tool install learnflow", ["learnflow"]),
        ("uvx learnflow up", ["learnflow"]),
        ("fresh/bin/pip install ./learnflow_infra-*.whl", []),
        ("pip install dist/learnflow_infra-*.whl", []),
        ("pip install -r requirements/run.lock", []),
        ("pip install -e .", []),
    ],
)
def test_a_name_is_told_from_a_file(command: str, names: list[str]) -> None:
    assert BY_NAME.findall(command) == names


def test_nothing_is_to_be_installed_from_an_index_that_the_project_does_not_own() -> None:
    sources = [*PAGES, *PACKAGE.rglob("*.py")]
    told = {str(each): names for each in sources if (names := BY_NAME.findall(each.read_text()))}
    assert told == {}


@pytest.mark.parametrize("page", sorted(ROOT.glob("*.md")), ids=lambda each: each.name)
def test_prose_is_as_wide_as_a_page(page: Path) -> None:
    """Rows of tables are as wide as they are."""
    lines = page.read_text().splitlines()
    assert [each for each in lines if len(each) > 110 and not each.startswith("|")] == []


def test_the_rooms_are_the_folders() -> None:
    assert {each.rstrip("/").removesuffix(".py") for each in ROWS} == modules(PACKAGE)


def test_the_rooms_stand_in_the_order_of_the_import_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = contracts["contracts"][0]["layers"]
    depth = {name: n for n, layer in enumerate(layers) for name in layer.split(" | ")}
    rooms = [each.rstrip("/").removesuffix(".py") for each in ROWS]
    assert {*rooms, "__main__"} == set(depth)
    assert [depth[each] for each in rooms] == sorted(depth[each] for each in rooms)


@pytest.mark.parametrize("room", [each for each in ROWS if each.endswith("/")])
def test_what_a_room_is_said_to_hold_is_there(room: str) -> None:
    named = re.findall(r"`([a-z_]+)/?`", ROWS[room])
    known = modules(PACKAGE / room) | {each.split()[0] for each in cli.COMMANDS}
    assert [each for each in named if each not in known] == []


def test_the_steps_are_the_pipeline() -> None:
    assert sorted(STEPS) == sorted(modules(PACKAGE / "pipeline") - BESIDE)


def test_up_takes_the_steps_in_their_order() -> None:
    source = (PACKAGE / "commands/up.py").read_text()
    entry = {"images": "supply", "capacity": "check_capacity"}
    entry |= {"credentials": "credentials.provide", "apply": "apply.objects"}
    called = [re.search(rf"[ (]{entry.get(each, each)}\(", source) for each in STEPS]
    places = [each.start() for each in called if each]
    assert len(places) == len(STEPS)
    assert places == sorted(places)


def test_nothing_but_report_prints() -> None:
    """Not counted: what a skill's scripts, and programs of their own with a log, print."""
    printing = set()
    for file in PACKAGE.rglob("*.py"):
        inside = file.relative_to(PACKAGE)
        for each in ast.walk(ast.parse(file.read_text())):
            if isinstance(each, ast.Call) and ast.unparse(each.func) in PRINTS:
                printing.add(inside.as_posix())
    programs = {each for each in printing if "__main__" in (PACKAGE / each).read_text()}
    scripts = {each for each in printing if "/skill/scripts/" in each}
    assert printing - programs - scripts == {"report/__init__.py"}


def test_files_that_are_named_exist() -> None:
    named = re.findall(r"`([\w./-]+/[\w.-]*\w\.(?:py|md|go|toml)|\.\./[\w-]+/)`", ARCHITECTURE)
    assert named
    assert [
        each
        for each in named
        if not (PACKAGE / each).exists() and not (ROOT / "src" / each).exists()
    ] == []
