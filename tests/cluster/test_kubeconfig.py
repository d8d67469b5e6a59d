"""The local cluster's context in a kubeconfig of one file or several, by the real kubectl."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from learnflow_infra.cluster.local import kubeconfig, layout, pki
from learnflow_infra.cluster.local.provider import LocalCluster
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import run

KUBECTL = LocalCluster().kubectl


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing is, and a cluster that has its certificates."""
    for name in ("PKI", "CONFIG"):
        monkeypatch.setattr(layout, name, tmp_path / "state" / name.lower())
    monkeypatch.setattr(kubeconfig, "_NOTE", tmp_path / "state" / "kubeconfig")
    monkeypatch.setenv("HOME", str(tmp_path))
    pki.ensure()
    return tmp_path


def config(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    argv = [*KUBECTL, "config", *arguments]
    return run(argv, deadline=Deadline(20), env=env).stdout.strip()


def named(monkeypatch: pytest.MonkeyPatch, folder: Path, *names: str) -> list[Path]:
    files = [folder / name for name in names]
    monkeypatch.setenv("KUBECONFIG", os.pathsep.join(map(str, files)))
    return files


def production(file: Path) -> str:
    """A file with a context of the user's, which is the current one."""
    env = {"KUBECONFIG": str(file)}
    config("set-context", "prod", "--cluster=far", env=env)
    config("use-context", "prod", env=env)
    return file.read_text()


@pytest.mark.parametrize("names", [("absent", "mine"), ("mine", "absent")])
def test_a_current_context_in_one_of_several_files_stays(
    folder: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, str]
) -> None:
    named(monkeypatch, folder, *names)
    before = production(folder / "mine")
    for _ in range(2):
        kubeconfig.add(KUBECTL, Deadline(20))
        assert config("current-context") == "prod"
        assert not (folder / "absent").exists()
        assert layout.NAME in config("get-contexts", "--output=name").split()
    kubeconfig.remove(KUBECTL, Deadline(20))
    assert (folder / "mine").read_text() == before


def test_where_no_file_is_the_last_one_is_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, last = named(monkeypatch, folder, "first", "folder/last")
    kubeconfig.add(KUBECTL, Deadline(20))
    assert config("current-context") == layout.NAME
    assert not first.exists()
    assert last.parent.stat().st_mode & 0o077 == 0


def test_a_context_of_the_first_file_is_not_added_to_the_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, folder, "first")
    kubeconfig.add(KUBECTL, Deadline(20))
    _, second = named(monkeypatch, folder, "first", "second")
    before = production(second)
    kubeconfig.add(KUBECTL, Deadline(20))
    assert second.read_text() == before
    monkeypatch.delenv("KUBECONFIG")
    kubeconfig.remove(KUBECTL, Deadline(20))  # it knows where the context is
    assert layout.NAME not in (folder / "first").read_text()
    assert second.read_text() == before
