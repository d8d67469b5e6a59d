"""Remedies that depend on the settings."""

from __future__ import annotations

import json
import shlex

import pytest

from learnflow_infra.diagnosis.reasons import cause_of, cause_of_log
from learnflow_infra.diagnosis.remedies import fitting
from learnflow_infra.findings.failures import finding
from learnflow_infra.services.registry import sections
from learnflow_infra.settings import parse

PULLS = ("image-pull-limited", "image-registry-unreachable", "image-not-pulled")


@pytest.mark.parametrize("code", PULLS)
def test_nobody_is_sent_where_he_is(code: str) -> None:
    there = parse({"images": {"source": "packages"}}, sections)
    assert "images.source" not in fitting(finding(code, "no"), there).remedy
    elsewhere = parse({}, sections)
    assert "set images.source to packages" in fitting(finding(code, "no"), elsewhere).remedy


@pytest.mark.parametrize(
    ("named", "cpu", "expected"),
    [
        ("limits.cpu", "250m", {"cpu": "2"}),
        ("limits.cpu", "3", {"cpu": "3"}),
        ("limits.cpu,limits.ephemeral-storage", "1", {"cpu": "2", "ephemeral-storage": str(2**30)}),
        ("requests.ephemeral-storage", "1", {"ephemeral-storage": str(2**30)}),
    ],
)
def test_a_quota_of_what_is_not_asked_for_gets_defaults(
    named: str, cpu: str, expected: dict[str, str]
) -> None:
    message = f'pods "kafka-0" is forbidden: failed quota: q: must specify {named} for: kafka'
    assert cause_of("FailedCreate", message) == ("quota-unspecified", 0)
    settings = parse({"cluster": {"namespace": "shop"}, "kafka": {"cpu": cpu}}, sections)
    remedy = fitting(finding("quota-unspecified", message), settings).remedy
    echo, manifest, *rest = shlex.split(remedy.split("`")[1])
    assert (echo, rest) == ("echo", ["|", "kubectl", "apply", "-f", "-"])
    made = json.loads(manifest)
    assert made["metadata"]["namespace"] == "shop"
    assert made["spec"]["limits"] == [{"type": "Container", "default": expected}]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("bash: line 12: initdb: command not found", "image-unfit"),
        ("bash: line 9: /opt/kafka/bin/kafka-storage.sh: No such file or directory", "image-unfit"),
        ("bash: line 30: exec: postgres: not found", "image-unfit"),
        (
            "initdb: error: could not look up effective user ID 999: user does not exist",
            "image-unfit",
        ),
        ("FATAL: initdb (PostgreSQL) 15.8 is too old a version: 17 is the first", "image-unfit"),
        (
            "FATAL: data-kafka-0 at /var/lib/kafka/data is not writable: owner 0:0, mode 755; the "
            "server is user 1000, groups 1000",
            "volume-unwritable",
        ),
        ('FATAL:  data directory "/x" has wrong ownership', "volume-unwritable"),
        ("could not open file global/1: No such file or directory", None),
    ],
)
def test_what_a_log_says_of_an_image_or_a_volume(line: str, code: str | None) -> None:
    assert cause_of_log(line) == code
