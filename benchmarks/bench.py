"""Speed as ratios, measured in one run on the local cluster. `make bench` runs it in the sandbox of
the tests, so that no one's own cluster is touched.

Each figure is the median of its runs; what is compared takes turns, so that a change of the
machine's speed meets both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from floor import Floor

COMMAND = str(Path(sys.executable).with_name("learnflow-infra"))


class Infra:
    """The command, with a HOME and settings of its own."""

    def __init__(self, home: Path) -> None:
        self._folder = home
        scope = home / "learnflow-app/phase-2-infrastructure"
        scope.mkdir(parents=True)
        # No registry is asked: the images are those that the floor runs.
        (scope / "infra.toml").write_text('[images]\nsource = "packages"\n')
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        self._environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": cache}

    def run(self, *arguments: str) -> tuple[float, dict[str, object]]:
        """Wall seconds of a command that must succeed, and its report."""
        began = time.monotonic()
        done = subprocess.run(
            [COMMAND, *arguments, "--json"],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        seconds = time.monotonic() - began
        if done.returncode != 0:
            sys.exit(f"{arguments}: {done.stdout}{done.stderr}")
        return seconds, json.loads(done.stdout)


def wall(argv: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)
    return time.monotonic() - began


def medians(runs: int, *measures: Callable[[], float]) -> list[float]:
    """The median of each measure, all taking turns."""
    rounds = [[measure() for measure in measures] for _ in range(runs)]
    return [statistics.median(values) for values in zip(*rounds, strict=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as home:
        infra = Infra(Path(home))
        floor = Floor()
        try:
            measure(infra, floor, runs)
        finally:
            floor.remove()
            infra.run("cluster", "down")


def measure(infra: Infra, floor: Floor, runs: int) -> None:
    def from_nothing() -> float:
        infra.run("down", "--purge")
        return infra.run("up")[0]

    def up_again() -> float:
        seconds, report = infra.run("up")
        steps = report["steps"]
        assert isinstance(steps, dict)
        return seconds - float(steps["services"])

    def restarted() -> float:
        infra.run("cluster", "down")
        return infra.run("cluster", "up")[0]

    infra.run("cluster", "up")
    infra.run("up")  # brings the images
    bare, up = medians(runs, lambda: max(floor.seconds()), from_nothing)
    verify, again = medians(runs, lambda: infra.run("verify")[0], up_again)
    (restart,) = medians(max(2, runs // 2), restarted)
    nothing, help_ = medians(
        4 * runs, lambda: wall([sys.executable, "-c", "pass"]), lambda: wall([COMMAND, "--help"])
    )
    rows = [
        ("up, from nothing to proved", f"{up:.2f} s", f"{up / bare:.2f}", "1.5 x the bare floor"),
        ("the bare floor", f"{bare:.2f} s", "1", ""),
        ("verify of both, warm", f"{verify:.2f} s", f"{verify / bare:.2f}", "2 s"),
        ("up again, proof apart", f"{again:.2f} s", f"{again / bare:.2f}", "1 s"),
        ("local cluster, stopped to DNS", f"{restart:.2f} s", f"{restart / bare:.2f}", "10 s"),
        ("--help", f"{help_ * 1000:.0f} ms", f"{help_ / nothing:.2f}", "4 x `python -c pass`"),
    ]
    print(f"{'what':<32} {'median':>9} {'ratio':>6}  at most")
    for what, seconds, ratio, most in rows:
        print(f"{what:<32} {seconds:>9} {ratio:>6}  {most}")
    print("ratios are to the bare floor; --help's is to `python -c pass`")


if __name__ == "__main__":
    main()
