"""No file of another is written to, and nothing is run that another could have put there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from learnflow_infra.commands.skills import install
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import paths


@pytest.mark.intruder("lays programs in a cache that all may write to", by="the command")
def test_a_cache_that_others_can_write_to_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    folder = paths.cache()  # none yet
    folder.mkdir()
    assert paths.cache() == folder
    folder.chmod(0o777)
    with pytest.raises(Failure, match="cache-unsafe"):
        paths.cache()
    folder.chmod(0o775 & ~0o022)  # as the remedy says
    assert paths.cache() == folder


@pytest.mark.intruder("makes the cache folder before its user does", by="the command")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_cache_of_another_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("SUDO_UID", raising=False)
    folder = tmp_path / "learnflow-infra"
    folder.mkdir()
    os.chown(folder, 1234, 1234)
    with pytest.raises(Failure, match="cache-unsafe"):
        paths.cache()
    monkeypatch.setenv("SUDO_UID", "1234")  # who became root
    assert paths.cache() == folder


@pytest.mark.intruder(
    "has a checkout whose {} is a link to a file of the user's", by="`skills install`"
)
@pytest.mark.parametrize(
    "link", [".claude", ".agents/skills", ".claude/skills/kafka-k8s-setup/SKILL.md"]
)
def test_skills_are_not_written_through_a_link_that_leads_out(tmp_path: Path, link: str) -> None:
    victim, folder = tmp_path / "victim", tmp_path / "project"
    if link.endswith(".md"):
        victim.write_text("mine")
    else:
        victim.mkdir()
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(victim)
    with pytest.raises(Failure, match="leads out of the folder"):
        install(folder)
    assert victim.read_text() == "mine" if victim.is_file() else not list(victim.iterdir())


def test_skills_may_share_a_folder_by_a_link_inside(tmp_path: Path) -> None:
    (tmp_path / ".claude/skills").mkdir(parents=True)
    (tmp_path / ".agents").symlink_to(".claude")
    assert install(tmp_path)
    assert (tmp_path / ".agents/skills/kafka-k8s-setup/SKILL.md").is_file()
