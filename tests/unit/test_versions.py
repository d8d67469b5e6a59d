"""kubectl and servers of other minor versions: what goes together, and what is said of the rest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fake_api import Answer, listed, serving, status

from learnflow_infra import cli
from learnflow_infra.kubernetes import versions

KUBECTL = "v1.34.4"  # the stand-in's


@pytest.mark.parametrize(
    ("server", "apart"),
    [
        ("v1.34.4", ""),
        ("v1.33.0", ""),
        ("v1.35.0-alpha.1", ""),
        ("v1.32.9+k3s1", "2 minor"),
        ("v1.36.1-gke.100", "2 minor"),
        ("v1.25.0", "9 minor"),
        ("", ""),
        ("unknown", ""),
    ],
)
def test_kubectl_goes_with_one_minor_version_either_way(server: str, apart: str) -> None:
    said = versions.apart(KUBECTL, server)
    assert (apart in said) if apart else not said


@pytest.mark.parametrize(
    ("server", "old"), [("v1.24.17", True), ("v1.25.0", False), ("v1.40.0", False), ("", False)]
)
def test_a_server_that_is_too_old_is_said(server: str, old: bool) -> None:
    assert bool(versions.too_old(server)) is old


@pytest.mark.parametrize(
    ("server", "said"),
    [
        (KUBECTL, []),
        ("v1.30.2", ["kubectl v1.34.4 is 4 minor versions from Kubernetes v1.30.2"]),
        (
            "v1.20.1",
            [
                "Kubernetes v1.20.1 is older than 1.25, the first that is supported",
                "kubectl v1.34.4 is 14 minor versions from Kubernetes v1.20.1",
            ],
        ),
    ],
)
def test_doctor_says_what_does_not_go_together(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    server: str,
    said: list[str],
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def respond(_: str, target: str) -> Answer:
        if target == "/version":
            return Answer(200, json.dumps({"gitVersion": server}))
        return listed() if target.endswith("s") else status(404, "NotFound")

    with serving(tmp_path, respond):
        cli.run(["doctor", "--context", "somewhere", "--json"])
    checks = json.loads(capsys.readouterr().out)["checks"]
    assert [each["said"] for each in checks if each["name"] == "versions"] == said
    remedies = [each["remedy"] for each in checks if "minor versions" in each["said"]]
    if server == "v1.30.2":
        assert remedies == ["Put a kubectl of v1.29 to v1.31 first on the PATH."]
