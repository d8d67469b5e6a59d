"""The report file: for its owner alone, whole, and never through a link."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from learnflow_infra import cli
from learnflow_infra.diagnosis import support_bundle
from learnflow_infra.findings.failures import Failure


def test_the_file_is_its_owner_s_alone_and_replaces_one_of_before(tmp_path: Path) -> None:
    file = tmp_path / "report.txt"
    file.write_text("before")
    file.chmod(0o644)
    support_bundle.save("after\n", file)
    assert file.read_text() == "after\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["report.txt"]


def test_a_link_is_never_written_through(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("mine")
    link.symlink_to(target)
    assert support_bundle.unwritable(link) == "is no ordinary file"
    support_bundle.save("text", link)  # put there after it was looked at
    assert target.read_text() == "mine"
    assert not link.is_symlink()


@pytest.mark.parametrize("name", ["nowhere/report.txt", ".", "link"])
def test_a_file_that_cannot_be_written_is_wrong_usage(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    assert cli.run(["verify", "--json", "--report", str(tmp_path / name)]) == 2
    assert json.loads(capsys.readouterr().out)["findings"][0]["code"] == "usage"


def test_a_folder_that_went_away_meanwhile_is_a_finding(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="report-unwritable"):
        support_bundle.save("text", tmp_path / "gone" / "report.txt")
    support_bundle.save("text", tmp_path / "report.txt")
    assert (tmp_path / "report.txt").read_text() == "text"


def test_what_is_too_long_is_cut_and_says_so() -> None:
    assert support_bundle.bounded("short", 100) == "short"
    cut = support_bundle.bounded("ä" * 1000, 100)
    assert len(cut.encode()) <= 100
    assert cut.endswith("… cut here\n")
