"""Speed as ratios, measured in one run on the local cluster. `make bench` runs it in the sandbox of
the tests, so that no one's own cluster is touched.

Each figure is the median of its runs; what is compared takes turns, so that a change of the
machine's speed meets both.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import declared
import throughput
import undefended
from floor import KAFKA, POSTGRES, Floor
from learnflow_infra.cluster.local import LocalCluster

COMMAND = [str(Path(sys.executable).with_name("learnflow-infra"))]
UNDEFENDED = [sys.executable, undefended.__file__]


class Infra:
    """The command, with a HOME and settings of its own."""

    def __init__(self, home: Path) -> None:
        self._folder = home
        scope = home / "learnflow-app/phase-2-infrastructure"
        scope.mkdir(parents=True)
        # No registry is asked: the images are those that the floor runs.
        self._settings = scope / "infra.toml"
        self.settings("")
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        self._environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": cache}

    def settings(self, more: str) -> None:
        """Write the settings. No registry is asked: the images are those that the floor runs."""
        self._settings.write_text(f'[images]\nsource = "packages"\n{more}')

    def kubectl(self, *arguments: str) -> list[str]:
        config = f"--kubeconfig={self._folder}/.kube/config"
        return [
            *LocalCluster().kubectl,
            config,
            "--context=learnflow-local",
            "-n",
            "learnflow",
            *arguments,
        ]

    def shell(self, pod: str) -> throughput.Shell:
        """What runs a script in a pod."""
        argv = self.kubectl("exec", "-i", pod, "--", "bash", "-s")
        return lambda script: throughput.output(argv, script)

    def connection(self, service: str) -> dict[str, str]:
        """A connection Secret's values."""
        argv = self.kubectl("get", "secret", f"{service}-connection", "-o", "json")
        data = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)["data"]
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def run(
        self, *arguments: str, command: Sequence[str] = COMMAND
    ) -> tuple[float, dict[str, object]]:
        """Wall seconds of a command that must succeed, and its report."""
        began = time.monotonic()
        done = subprocess.run(
            [*command, *arguments, "--json"],
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


def medians(runs: int, *measures: Callable[[], Sequence[float]]) -> list[list[float]]:
    """The medians of each measure's figures, all measures taking turns."""
    rounds = [[measure() for measure in measures] for _ in range(runs)]
    return [
        [statistics.median(values) for values in zip(*figures, strict=True)]
        for figures in zip(*rounds, strict=True)
    ]


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
    def from_floor() -> Sequence[float]:
        kafka, postgres = floor.shells()
        with floor.running() as seconds:
            trips = throughput.kafka(kafka, KAFKA, "bench")
            return max(seconds), trips, *throughput.postgres(postgres, POSTGRES)

    def from_nothing(command: Sequence[str], settings: str) -> Sequence[float]:
        infra.settings(settings)
        infra.run("down", "--purge", "--yes")
        seconds, _ = infra.run("up", command=command)
        kafka, postgres = infra.connection("kafka"), infra.connection("postgres")
        return (
            seconds,
            throughput.kafka(infra.shell("kafka-0"), kafka, "learnflow.events"),
            *throughput.postgres(infra.shell("postgres-0"), postgres),
        )

    def from_purged(settings: str) -> Sequence[float]:
        infra.settings(settings)
        infra.run("down", "--purge", "--yes")
        return [infra.run("up")[0]]

    def whole_again(settings: str) -> float:
        """The median of an `up` that has nothing to do, with its proof."""
        from_purged(settings)
        return statistics.median(infra.run("up")[0] for _ in range(runs))

    def up_again() -> Sequence[float]:
        seconds, report = infra.run("up")
        steps = report["steps"]
        assert isinstance(steps, dict)
        return [seconds - float(steps["services"])]

    def restarted() -> Sequence[float]:
        infra.run("cluster", "down")
        return [infra.run("cluster", "up")[0]]

    infra.run("cluster", "up")
    infra.run("up")  # brings the images
    bare, off, up = medians(
        runs,
        from_floor,
        lambda: from_nothing(UNDEFENDED, undefended.SETTINGS),
        lambda: from_nothing(COMMAND, ""),
    )
    (verify,), (again,) = medians(runs, lambda: [infra.run("verify")[0]], up_again)
    (plain,), (listed,) = medians(
        runs, lambda: from_purged(""), lambda: from_purged(declared.LEARNFLOW)
    )
    few, many = whole_again(""), whole_again(declared.many(200, 50, 20))
    ((restart,),) = medians(max(2, runs // 2), restarted)
    (nothing,), (help_,) = medians(
        4 * runs,
        lambda: [wall([sys.executable, "-c", "pass"])],
        lambda: [wall([*COMMAND, "--help"])],
    )
    rows = [
        ("up, from nothing to proved", f"{up[0]:.2f} s", up[0] / bare[0], "1.5"),
        ("  with all security off", f"{off[0]:.2f} s", off[0] / bare[0], ""),
        ("the bare floor, no security", f"{bare[0]:.2f} s", 1, ""),
        ("verify of both, warm", f"{verify:.2f} s", verify / bare[0], "1 s"),
        ("up again, proof apart", f"{again:.2f} s", again / bare[0], "1 s"),
        ("up of LearnFlow's list, to plain", f"{listed:.2f} s", listed / plain, "1.15"),
        ("up again with its proof", f"{few:.2f} s", few / bare[0], ""),
        ("  200 topics, 50 users, 20 bases", f"{many:.2f} s", many / few, ""),
        ("local cluster, stopped to DNS", f"{restart:.2f} s", restart / bare[0], "10 s"),
        ("--help, to `python -c pass`", f"{help_ * 1000:.0f} ms", help_ / nothing, "4"),
        ("cost of security: up", f"{up[0]:.2f} s", up[0] / off[0], "1.25"),
    ]
    costs = (
        ("Kafka, record there and back", "1.25"),
        ("PostgreSQL, row there and back", "1.25"),
        ("PostgreSQL, one short query", ""),
    )
    for place, (name, most) in enumerate(costs, start=1):
        rows += [
            (f"  {name}", f"{up[place]:.0f}/s", off[place] / up[place], most),
            ("    with all security off", f"{off[place]:.0f}/s", 1, ""),
            ("    of the bare floor", f"{bare[place]:.0f}/s", off[place] / bare[place], ""),
        ]
    print(f"{'what':<34} {'median':>9} {'ratio':>6}  at most")
    for what, figure, ratio, most in rows:
        print(f"{what:<34} {figure:>9} {ratio:>6.2f}  {most}")
    print("ratios are to the bare floor, and those of security's cost to the same with it off")


if __name__ == "__main__":
    main()
