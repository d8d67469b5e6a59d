"""Finds the package learnflow_infra and hands over to its command; the scripts here do no more.

The same file stands in every skill, because a skill must be whole on its own.
"""

import os
import shlex
import shutil
import sys
from pathlib import Path

_NO_CLUSTER = 3
_SETTINGS = Path("learnflow-app/phase-2-infrastructure/infra.toml")


def open_door(command, service):
    """Replace this process by `learnflow-infra COMMAND SERVICE …` with the caller's arguments."""
    program = _find()
    if program is None:
        print(f"learnflow-infra is not installed. {_remedy()}", file=sys.stderr)
        sys.exit(_NO_CLUSTER)
    os.execv(program[0], [*program, command, service, *_settings(), *sys.argv[1:]])


def _settings():
    """The settings of the project that the skill lies in, from wherever it is run."""
    for folder in Path(__file__).resolve().parents:
        if (folder / _SETTINGS).is_file():
            return ["--settings", str(folder / _SETTINGS)]
    return []


def _find():
    here = Path(__file__).resolve().parent
    recorded = here / "interpreter"
    if recorded.is_file() and os.access(python := recorded.read_text().strip(), os.X_OK):
        return [python, "-m", "learnflow_infra"]
    for folder in here.parents:
        command = folder / ".venv" / "bin" / "learnflow-infra"
        if os.access(command, os.X_OK):
            return [str(command)]
    found = shutil.which("learnflow-infra")
    return [found] if found else None


def _remedy():
    project = Path.cwd()
    for folder in Path(__file__).resolve().parents:
        if (folder / "Makefile").is_file() and (folder / "pyproject.toml").is_file():
            return f"Run `make -C {shlex.quote(str(folder))} install`."
        if folder.name in (".claude", ".agents"):
            project = folder.parent
    return (
        "In a checkout of the LearnFlow infrastructure run `make install`, and then "
        f"`.venv/bin/learnflow-infra skills install {shlex.quote(str(project))}`."
    )
