"""`skills install`: the agent skills, put where an agent looks."""

from __future__ import annotations

import errno
import shutil
import sys
from pathlib import Path

from learnflow_infra.commands import Request
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.report import Report
from learnflow_infra.services import registry

_PLACES = (".claude/skills", ".agents/skills")


def skills(request: Request) -> Report:
    """Install them. Raises Failure(folder-unwritable)."""
    installed = install(Path(request.options["folder"]))
    return Report("skills", lines=installed, details={"installed": installed})


def install(folder: Path) -> list[str]:
    """Copy each skill into the folder's `.claude/skills` and `.agents/skills`.

    Beside the scripts stands the interpreter that has the package, so that they find it from
    anywhere. Returns the folders written. Raises Failure(folder-unwritable).
    """
    written = []
    try:
        if not folder.is_dir():
            raise NotADirectoryError(20, "is no folder", str(folder))
        for below in _PLACES:
            for service in registry.own():
                if service.skill is None:
                    continue
                target = folder / below / f"{service.name}-k8s-setup"
                _require_inside(folder, target)
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(service.skill, target, dirs_exist_ok=True, ignore=ignored)
                (target / "scripts" / "interpreter").write_text(sys.executable + "\n")
                written.append(str(target))
    except OSError as error:
        message = f"{error.filename or folder}: {error.strerror}"
        raise Failure(finding("folder-unwritable", message)) from error
    return written


def _require_inside(folder: Path, target: Path) -> None:
    """Raise OSError where a link of the folder's would have something else overwritten."""
    for path in (target, *target.rglob("*")):
        if not path.resolve().is_relative_to(folder.resolve()):
            raise PermissionError(errno.EPERM, "is a link that leads out of the folder", str(path))
