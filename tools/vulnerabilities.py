"""What is built, held against what is known to be vulnerable. Exit 1 where something is found.

Each kind of part has a source of its own; where that cannot be had, it is said, not passed over.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from learnflow_infra import image_builder
from learnflow_infra.cluster.local import build
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import debian, process
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.image_builder.build import PROGRAMS
from learnflow_infra.services import registry
from learnflow_infra.services.kafka.image import RECIPE as KAFKA

_SECONDS = 3600
_ROOT = Path(__file__).parents[1]
_MOST_SHOWN = 20
_NOT_ASKED = "could not be asked"


@dataclass
class Judged:
    """One kind of part: how many there are, what was found, or why nothing is known."""

    parts: int = 0
    found: list[str] = field(default_factory=list)
    unknown: str = ""


def python(deadline: Deadline) -> Judged:
    """By the advisories that PyPI gives of each release."""
    locks = [f"--requirement={_ROOT}/requirements/{name}.lock" for name in ("run", "dev", "supply")]
    done = process.run(
        [
            *(sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", *locks),
            *("--format=json", "--progress-spinner=off"),
        ],
        deadline=deadline,
        expect=None,
    )
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return Judged(unknown=f"PyPI {_NOT_ASKED}: {_last(done.stderr)}")
    judged = Judged(len(packages))
    skipped = [each["name"] for each in packages if "skip_reason" in each]
    for each in packages:
        for one in each.get("vulns", ()):
            fixed = ", ".join(one["fix_versions"]) or "nothing"
            judged.found.append(f"{each['name']} {each['version']}: {one['id']}, fixed in {fixed}")
    if skipped:
        judged.unknown = f"the registry gives no advisories of {len(skipped)} of them"
    return judged


def go(deadline: Deadline) -> Judged:
    """By the Go vulnerability database: what the program itself holds of a vulnerable module.

    https://go.dev/doc/security/vuln/database; GOVULNDB names another place, such as a folder.
    """
    program = build.programs(deadline, _say).node
    database = [f"-db={os.environ['GOVULNDB']}"] if os.environ.get("GOVULNDB") else []
    command = ["go", "run", "-C", f"{_ROOT}/tools/go", "golang.org/x/vuln/cmd/govulncheck"]
    done = process.run(
        [*command, "-mode=binary", "-format=json", *database, str(program)],
        deadline=deadline,
        expect=None,
    )
    judged = Judged()
    summaries, found = {}, {}
    for message in _objects(done.stdout):
        if modules := message.get("SBOM", {}).get("modules"):
            judged.parts = len(modules)
        if advisory := message.get("osv"):
            summaries[advisory["id"]] = " ".join(advisory.get("summary", "").split())
        if finding := message.get("finding"):
            first = finding["trace"][0]
            if "function" in first:  # it is in the program, and not only in the module
                fixed = finding.get("fixed_version", "nothing")
                found[finding["osv"]] = (f"{first['module']} {first['version']}", fixed)
    if done.exit_code != 0:
        return Judged(judged.parts, unknown=f"the database {_NOT_ASKED}: {_last(done.stderr)}")
    judged.found = [
        f"{where}: {key} {summaries.get(key)}, fixed in {fixed}"
        for key, (where, fixed) in sorted(found.items())
    ]
    return judged


def debian_packages(deadline: Deadline) -> Judged:
    """By Debian's own archive: a newer version of a package in its security suite."""
    noted = {}
    for recipe in filter(None, (service.recipe for service in registry.own())):
        archive = image_builder.archive(recipe, deadline, _say)
        for line in archive.with_suffix(".packages").read_text().splitlines():
            name, version, *_ = line.split()
            noted[name] = version
    hook = 'APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-cache policy $NAMES >&2'
    with tempfile.TemporaryDirectory() as folder:
        done = process.run(
            [
                *("mmdebstrap", "--quiet", "--variant=custom", "--format=directory"),
                *(f"--customize-hook={hook}", "trixie", f"{folder}/root"),
            ],
            deadline=deadline,
            env=debian.programs(PROGRAMS, deadline=deadline, say=_say)
            | {"NAMES": " ".join(noted), "LC_ALL": "C"},
            expect=None,
        )
    if done.exit_code != 0:
        return Judged(len(noted), unknown=f"Debian's archive {_NOT_ASKED}: {_last(done.stderr)}")
    judged = Judged(len(noted))
    asked = re.split(r"^(\S+):$", done.stderr, flags=re.MULTILINE)[1:]
    for name, said in zip(asked[::2], asked[1::2], strict=True):
        for version, sources in re.findall(r"^ {5}(\S+) \d+\n((?: {8}.*\n)+)", said, re.MULTILINE):
            newer = process.run(
                ["dpkg", "--compare-versions", version, "gt", noted[name]],
                deadline=deadline,
                expect=(0, 1),
            )
            if "-security/" in sources and newer.exit_code == 0:
                judged.found.append(f"{name} {noted[name]}: security suite has {version}")
    if len(asked) // 2 < len(noted):
        judged.unknown = f"the archive does not know {len(noted) - len(asked) // 2} of them"
    return judged


def jars(deadline: Deadline) -> Judged:
    lines = (KAFKA.folder / "jars.sha256").read_text().splitlines()
    said = "Maven Central has no advisories; give a scanner sbom/kafka-image.cdx.json"
    return Judged(len(lines), unknown=said)


_KINDS: dict[str, Callable[[Deadline], Judged]] = {
    "Python packages": python,
    "Go modules": go,
    "Debian packages": debian_packages,
    "Java archives": jars,
}


def main() -> int:
    deadline = Deadline(_SECONDS)
    with ThreadPoolExecutor() as pool:
        verdicts = pool.map(lambda judge: judge(deadline), _KINDS.values())
        judged = dict(zip(_KINDS, verdicts, strict=True))
    for kind, one in judged.items():
        verdict = f"{len(one.found)} vulnerable" if one.found else "none known as vulnerable"
        if one.unknown:
            verdict = f"{verdict if one.found else 'NOT CHECKED'}; {one.unknown}"
        print(f"{kind:<16} {one.parts:>4}  {verdict}")
        for line in one.found[:_MOST_SHOWN]:
            print(f"  {line[:200]}")
        if len(one.found) > _MOST_SHOWN:
            print(f"  and {len(one.found) - _MOST_SHOWN} more")
    return int(any(one.found for one in judged.values()))


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """JSON objects, one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while match := re.compile(r"\S").search(text, at):
        value, at = decoder.raw_decode(text, match.start())
        yield value


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if not line.startswith("exit status")]
    return (lines or ["no word"])[-1][:200]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Failure as failure:
        raise SystemExit(str(failure)) from None
