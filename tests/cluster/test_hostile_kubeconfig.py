"""A kubeconfig that is not what it should be: told in time and in few plain words."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Person

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
ODD = "\033]0;x\007\033[2J\0 ok  kafka proved\n: [\xff{" * 1000


def config(server: str, name: str = "odd") -> str:
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": name, "cluster": {"server": server}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
            "users": [{"name": name, "user": {}}],
        }
    )


HOSTILE: dict[str, Callable[[Path], object]] = {
    "odd bytes": lambda path: path.write_bytes(ODD.encode("latin-1")),
    "aliases of aliases": lambda path: path.write_text(BOMB),
    "100 MB": lambda path: path.write_bytes(b"a: " + b"x" * 100_000_000),
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "no list": lambda path: path.write_text('{"contexts": 7}'),
    "a file as server": lambda path: path.write_text(config("file:///etc/passwd")),
    "an escape as server": lambda path: path.write_text(config("https://127.0.0.1:9/\033[2J\n")),
}


@pytest.mark.intruder("gives a kubeconfig that is {}", by="the command")
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_kubeconfig(person: Person, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "config"
    HOSTILE[kind](path)
    for as_json in (["--json"], []):
        answer = person.run(
            *("verify", "--context", "odd", "--timeout", "10", *as_json),
            KUBECONFIG=str(path),
            PATH=str(person.kubectl_folder()),
            timeout=40,
        )
        assert answer.exit_code in (3, 5), answer.stdout
        said = answer.stdout + answer.stderr
        assert len(said.encode()) < 1500
        assert all(char.isprintable() or char == "\n" for char in said), said
