"""What the tests on a real cluster ask of a machine, and that they never run on its own cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sandboxed import sandboxed

TESTS = Path(__file__).parents[1]
FIT = {
    "uname": "echo Linux",
    "id": "echo 0",
    "df": "printf 'Filesystem\\n/dev/x 99 9 99999999 9%% /\\n'",
    **dict.fromkeys(("unshare", "mount", "ip", "go"), ":"),
}


def needs(folder: Path, programs: dict[str, str]) -> tuple[int, list[str]]:
    """What `tests/needs` says on a machine with these programs, each a line of shell."""
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{line}\n")
        (folder / name).chmod(0o755)
    for name in ("sh", "awk", "dirname"):
        (folder / name).symlink_to(shutil.which(name) or name)
    done = subprocess.run(
        [TESTS / "needs"],
        env={"PATH": str(folder), "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    return done.returncode, done.stderr.splitlines()


def test_a_machine_that_has_all_is_told_nothing(tmp_path: Path) -> None:
    assert needs(tmp_path, FIT) == (0, [])


@pytest.mark.parametrize(
    ("program", "line", "lacking"),
    [
        ("uname", "echo Darwin", ["Linux, and this is Darwin"]),
        ("id", "echo 1000", ["root"]),
        ("unshare", "exit 1", ["namespaces, which this machine refuses"]),
        ("unshare", "", ["`unshare`, which is not on PATH"]),
        ("ip", "", ["`ip`, which is not on PATH"]),
        ("go", "", ["Go 1.21 or newer"]),
        ("df", "printf 'Filesystem\\n/dev/x 9 9 999999 9%% /\\n'", ["10 GiB", "10 GiB"]),
    ],
)
def test_each_thing_that_a_machine_lacks_is_one_line(
    program: str, line: str, lacking: list[str], tmp_path: Path
) -> None:
    programs = FIT | {program: line}
    if not line:
        del programs[program]
    code, lines = needs(tmp_path, programs)
    assert code == 1
    assert len(lines) == len(lacking)
    assert all(words in said for words, said in zip(lacking, lines, strict=True))


@pytest.mark.parametrize(
    ("mounts", "inside"),
    [
        ("proc /proc proc rw 0 0\nsandbox /run tmpfs rw,mode=755 0 0\n", True),
        ("tmpfs /run tmpfs rw 0 0\n", False),
        ("sandbox /tmp/run tmpfs rw 0 0\n", False),
        ("", False),
    ],
)
def test_the_sandbox_is_known_by_its_run_folder(mounts: str, inside: bool, tmp_path: Path) -> None:
    file = tmp_path / "mounts"
    file.write_text(mounts)
    assert sandboxed(file) is inside
    assert not sandboxed(tmp_path / "none")


def test_cluster_tests_run_nowhere_but_in_the_sandbox() -> None:
    # One that uses no cluster: were it not refused, nothing would be harmed.
    harmless = "tests/cluster/test_skills.py::test_both_skills_are_there_and_share_their_door"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", harmless],
        cwd=TESTS.parent,
        env={**os.environ, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=60,
    )
    if sandboxed():
        assert done.returncode == 0, done.stdout
    else:
        assert done.returncode == pytest.ExitCode.USAGE_ERROR
        assert "would stop this machine's own; run them as `tests/sandbox" in done.stdout
