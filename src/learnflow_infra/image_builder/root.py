"""A root file system in the making: Debian packages unpacked, and its own programs run inside."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.process import end, start

NEWEST = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())

# In namespaces of their own: nothing that runs inside can reach a network, another process or a
# mount of the machine, and all of it ends with its first process. 192.0.2.1 stands for an address
# that is not loopback.
_INSIDE = (
    *("unshare", "--mount", "--net", "--pid", "--ipc", "--uts", "--fork", "--kill-child"),
    *("--propagation", "private", "sh", "-euc"),
    "umask 022; ip link set lo up && ip address add 192.0.2.1/32 dev lo && "
    'mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" && '
    'mount -t tmpfs tmpfs "$0/tmp" && exec chroot "$@"',
)

_UNPACK = (
    *("bash", "-euo", "pipefail", "-c"),
    'root=$0 left_out=$1; shift; for package in "$@"; do dpkg-deb --fsys-tarfile "$package" | '
    'tar --extract --directory "$root" --keep-directory-symlink --exclude-from "$left_out"; done',
)

# apt as mmdebstrap set it up: the suite's own mirror and keys, not this machine's.
_DOWNLOAD = (
    'cd "$1"; export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"; mkdir wanted; cd wanted; '
    'for pin in $WANTED; do if apt-cache show "$pin" >/dev/null 2>&1; then echo "$pin"; '
    'else echo "${pin%%=*}"; fi; done >../chosen; xargs apt-get download <../chosen'
)


@dataclass(frozen=True)
class Root:
    """A folder that becomes an image, with what its making needs at hand."""

    path: Path
    log: Path
    environment: Mapping[str, str]  # where the programs are found
    deadline: Deadline
    say: Callable[[str], None]

    def run(
        self, what: str, argv: Sequence[str | Path], *, seconds: float = 600, **env: str
    ) -> None:
        """Runs a command of this machine for at most `seconds`, its output kept in the log.

        Raises Failure(image-build-failed), which says what failed.
        """
        limit = self.deadline.within(seconds)
        with tempfile.TemporaryFile() as output:
            process = None
            try:
                process = start(
                    [str(word) for word in argv],
                    stdout=output.fileno(),
                    stderr=output.fileno(),
                    env={**self.environment, **env},
                )
                code = process.wait(limit.remaining())
            except OSError as error:
                raise failed(f"{what} failed: {error}", self.log) from error
            except subprocess.TimeoutExpired as error:
                self.deadline.remaining()
                raise failed(f"{what} did not end within {seconds:g} s", self.log) from error
            finally:
                if process is not None:
                    end(process)
                output.seek(0)
                text = output.read().decode(errors="replace")
                with self.log.open("a") as log:
                    log.write(f"# {what}\n{text}")
        if code != 0:
            lines = text.strip().splitlines()
            reason = lines[-1][:300] if lines else f"exit code {code}"
            raise failed(f"{what} failed: {reason}", self.log)

    def run_inside(
        self,
        what: str,
        argv: Sequence[str],
        *,
        user: str = "0:0",
        environment: Mapping[str, str],
        seconds: float = 300,
    ) -> None:
        """Runs a command of the root file system itself, with loopback as its only network."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        command = ("/usr/bin/env", "-i", *settings, *argv)
        self.run(
            what,
            (*_INSIDE, self.path, f"--userspec={user}", self.path, *command),
            seconds=seconds,
        )

    def fetch_packages(self, pins: Mapping[str, str], folder: Path) -> dict[str, Path]:
        """Downloads Debian packages below `folder` and gives the file of each.

        A version that the archive no longer has is replaced by its present one, and that is said.
        """
        self.run(
            "fetching Debian packages",
            [
                *("mmdebstrap", "--variant=extract", "--skip=cleanup/apt", "--format=directory"),
                *(f"--extract-hook={_DOWNLOAD}", "trixie", str(folder)),
            ],
            WANTED=" ".join(f"{name}={version}" for name, version in pins.items()),
        )
        files = {path.name.split("_")[0]: path for path in (folder / "wanted").glob("*.deb")}
        if missing := sorted(set(pins) - set(files)):
            raise failed(f"Debian has no package {', '.join(missing)}", self.log)
        for name, path in sorted(files.items()):
            if (version := version_of(path)) != pins[name]:
                self.say(f"Debian has {name} {version} in place of the pinned {pins[name]}")
        return files

    def unpack(self, packages: Iterable[Path], left_out: Path) -> None:
        """Unpacks Debian packages without running their scripts; `left_out` lists patterns."""
        self.run("unpacking Debian packages", (*_UNPACK, self.path, left_out, *sorted(packages)))

    def write(self, name: str, text: str) -> None:
        """Writes a file; one that begins with #! is executable."""
        target = self.path / name
        self._make_parents(target)
        target.write_text(text)
        target.chmod(0o755 if text.startswith("#!") else 0o644)

    def add_files(self, source: Path) -> None:
        """Writes all files of a recipe."""
        for path in source.rglob("*"):
            if path.is_file():
                self.write(str(path.relative_to(source)), path.read_text())

    def add_user(self, name: str, number: int, home: str) -> None:
        """Adds a person with a group of the same name and number, to passwd and group files."""
        with (self.path / "etc/passwd").open("a") as passwd:
            passwd.write(f"{name}:x:{number}:{number}::{home}:/bin/bash\n")
        with (self.path / "etc/group").open("a") as group:
            group.write(f"{name}:x:{number}:\n")

    def folder(self, name: str, mode: int, owner: tuple[int, int]) -> Path:
        """Makes a folder, or sets the mode and owner of one that is there."""
        path = self.path / name
        self._make_parents(path)
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        os.chown(path, *owner)
        return path

    def _make_parents(self, path: Path) -> None:
        if not path.parent.exists():
            self._make_parents(path.parent)
            path.parent.mkdir()
            path.parent.chmod(0o755)  # whatever the person's umask is

    def settle(self) -> None:
        """Lets no file be younger than NEWEST: same packages, same bytes."""
        for path in (self.path, *self.path.rglob("*")):
            if path.lstat().st_mtime > NEWEST:
                os.utime(path, (NEWEST, NEWEST), follow_symlinks=False)


def version_of(package: Path) -> str:
    """The version in a Debian package's file name."""
    return package.name.split("_")[1].replace("%3a", ":")


def failed(message: str, log: Path) -> Failure:
    return Failure(finding("image-build-failed", f"{message} (log: {log})"))
