"""A machine of its own for tests that start, break and remove local clusters.

`tests/sandbox` once more: other processes, mounts and network than those of the other tests, on
the same kernel.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import build
from learnflow_infra.host import paths
from learnflow_infra.host.deadline import Deadline

SANDBOX = Path(__file__).parents[1] / "sandbox"
COMMAND = Path(sys.executable).with_name("learnflow-infra")
CONTEXT = "learnflow-local"
STATE, RUN = Path("/var/lib/learnflow-local"), Path("/run/learnflow-local")


class Machine:
    """A fresh machine, with the built programs in a cache folder that a purge may remove."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.home.mkdir()
        self.cache = folder / "cache"
        for part in (build.binary().parent, paths.cache() / "debian"):
            _clone(part, self.cache / "learnflow-infra" / part.relative_to(paths.cache()))
        built = build.binary().relative_to(paths.cache())
        self.kubectl_argv = (str(self.cache / "learnflow-infra" / built), "kubectl")
        self._environment = {
            **os.environ,
            "HOME": str(self.home),
            "XDG_CACHE_HOME": str(self.cache),
        }
        self._environment.pop("KUBECONFIG", None)
        self._sandbox = subprocess.Popen(
            [SANDBOX, "sh", "-c", "echo begun; exec cat"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._sandbox.stdout is not None
        assert self._sandbox.stdout.readline() == "begun\n"
        self.first = _child(_child(self._sandbox.pid))

    def end(self) -> None:
        """End the machine and everything on it."""
        self._sandbox.communicate(timeout=60)
        assert self._sandbox.returncode == 0

    def start(
        self, *argv: str | Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[str]:
        namespaces = ("--mount", "--net", "--pid", "--ipc", "--uts")
        return subprocess.Popen(
            ["nsenter", f"--target={self.first}", *namespaces, "--", *argv],
            env={**self._environment, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *argv: str | Path,
        exit_code: int = 0,
        env: Mapping[str, str] | None = None,
        seconds: float = 180,
    ) -> str:
        """What a command says on stdout, and on stderr if it is to fail."""
        process = self.start(*argv, env=env)
        stdout, stderr = process.communicate(timeout=seconds)
        assert process.returncode == exit_code, f"{argv}: {process.returncode}\n{stdout}\n{stderr}"
        assert "Traceback" not in stderr
        return stdout if exit_code == 0 else stdout + stderr

    def learnflow(self, *arguments: str, exit_code: int = 0) -> str:
        return self.run(COMMAND, *arguments, exit_code=exit_code)

    def kubectl(self, *arguments: str, exit_code: int = 0) -> str:
        """With the context that the local cluster left in the person's kubeconfig."""
        return self.run(*self.kubectl_argv, *arguments, exit_code=exit_code)

    def load(self, archive: Path) -> None:
        program = (
            "import sys, pathlib; from learnflow_infra.cluster.local import LocalCluster;"
            "from learnflow_infra.host.deadline import Deadline;"
            "LocalCluster().load(pathlib.Path(sys.argv[1]), Deadline(60))"
        )
        self.run(sys.executable, "-c", program, archive)

    def get(self, *arguments: str) -> Any:
        return json.loads(self.kubectl("get", "--output=json", *arguments))

    def processes(self) -> dict[int, str]:
        """By the number that the machine gives them, but for those that belong to the sandbox, and
        what the node's proxy and policies run for a moment."""
        lines = self.run("ps", "-e", "-o", "pid=,args=").splitlines()
        found = {int(line.split()[0]): line.split(None, 1)[1] for line in lines}
        return {
            pid: args
            for pid, args in found.items()
            if pid > 1 and args[:5] != "ps -e" and not re.match(r"\S*\bnft ", args)
        }

    def pid(self, words: str, without: str = "nothing") -> int:
        """The one process with these words in its command."""
        found = [
            pid for pid, args in self.processes().items() if words in args and without not in args
        ]
        assert len(found) == 1, f"{words}: {found}"
        return found[0]

    def network(self) -> str:
        """Links, addresses, routes and the kernel's packet rules."""
        nft = build.programs(Deadline(60), print).environment
        shown = [
            self.run("ip", "-brief", "address"),
            self.run("ip", "route", "show", "table", "all"),
            self.run("nft", "list", "ruleset", env=nft),
        ]
        return "\n".join(shown)

    def files(self) -> set[str]:
        """All that a local cluster could have left in the places for it."""
        places = ["/run", "/var/lib", "/var/log", str(self.home), str(self.cache)]
        return set(self.run("find", *places, "-maxdepth", "2").splitlines())

    def mounts(self) -> set[str]:
        return set(self.run("cat", "/proc/self/mounts").splitlines())


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)


def _child(pid: int) -> int:
    """A process's only child, as soon as it has it."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    eventually(lambda: bool(children.read_text()))
    return int(children.read_text().split()[0])


def _clone(source: Path, target: Path) -> None:
    """A copy that costs nothing where the file system lets files have two names."""

    def link(old: str, new: str) -> None:
        try:
            os.link(old, new)
        except OSError:
            shutil.copy2(old, new)

    shutil.copytree(source, target, copy_function=link, symlinks=True)
