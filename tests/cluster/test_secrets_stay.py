"""Every secret that a whole life of a deployment makes stays where it belongs.

One shell script uses the command as people do, well and badly, on a machine of its own. strace
follows every process that comes of it, the cluster's and the containers' as well, and notes what
each was started with. Then all of it is searched.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import pytest

from learnflow_infra.host.deadline import Deadline
from learnflow_infra.host.debian import programs

from .conftest import NAMESPACE
from .machine import COMMAND, RUN, STATE, Machine

# `said` keeps what a command says, whatever it thinks of the state.
_LIFE = """\
cd "$HOME"
n=0
said() {{ n=$((n + 1)); {command} "$@" > said/$n.out 2> said/$n.err || true; }}
{command} cluster up || exit
{command} up --json > up.json || exit
said verify --json
said status
said status --json
said render
said up
{command} connect --json > said/connect.out 2> said/connect.err & pid=$!
until grep -q connections said/connect.out; do kill -0 $pid || exit; sleep 0.1; done
kill -INT $pid
wait $pid
{kubectl} exec -n {namespace} postgres-0 -- psql -U postgres -c "alter role learnflow password 'x'"
said verify
said up postgres
{kubectl} patch statefulset kafka -n {namespace} --type=json -p "$breaks"
said verify kafka
said up kafka --timeout 0.01
{kubectl} get secret -n {namespace} -o json > secrets.json
kinds=$({kubectl} api-resources --verbs=list -o name | paste -sd,)
{kubectl} get "$kinds" -A -o json > objects.json || exit
cp -r {run}/. run 2>/dev/null
said down --yes --purge
{command} cluster down || exit
"""
_BREAKS = json.dumps(
    [
        {
            "op": "replace",
            "path": "/spec/template/spec/containers/0/command",
            "value": ["bash", "-c", "echo 'ERROR it ends'; env; exit 3"],
        }
    ]
)


@dataclass
class Life:
    """What one life of a deployment made and left."""

    secrets: dict[str, bytes] = field(default_factory=dict)
    """By the Secret's name and key, or the file's name."""
    places: dict[str, bytes] = field(default_factory=dict)
    """All that others may see, by its name."""
    store: bytes = b""
    """What the API server's own store holds."""


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    machine = _lived(tmp_path_factory)
    try:
        yield _read(machine.home, Path(f"/proc/{machine.first}/root"))
    finally:
        machine.end()


def _lived(tmp_path_factory: pytest.TempPathFactory, tries: int = 3) -> Machine:
    """A machine on which all of it happened under strace's eyes.

    strace 6.1 gives up, and ends all that it follows, where a thread goes between its stop and
    strace's answer (EIO of PTRACE_LISTEN): of what it then saw nothing follows, and it begins anew.
    """
    machine = Machine(tmp_path_factory.mktemp("secrets"))
    try:
        _live(machine)
    except BaseException as error:
        machine.end()
        if tries > 1 and "strace: ptrace(PTRACE_LISTEN" in str(error):
            return _lived(tmp_path_factory, tries - 1)
        raise
    return machine


def _live(machine: Machine) -> None:
    home = machine.home
    scope = home / "learnflow-app/phase-2-infrastructure"
    for part in (scope, home / "said", home / "run", home / "tmp"):
        part.mkdir(parents=True)
    (scope / "infra.toml").write_text('[images]\nsource = "packages"\n')
    kubectl = " ".join(machine.kubectl_argv)
    script = _LIFE.format(command=COMMAND, kubectl=kubectl, namespace=NAMESPACE, run=RUN)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    tools = programs({"strace": "strace"}, deadline=Deadline(60), say=print)
    machine.run(
        *("strace", "-f", "--seccomp-bpf", "-qq", "-v", "-s", "1000000"),
        *("-e", "trace=execve,execveat", "-e", "signal=none", "-o", str(home / "processes")),
        *("sh", "-c", script),
        env=tools | {"XDG_CACHE_HOME": cache, "TMPDIR": str(home / "tmp"), "breaks": _BREAKS},
        seconds=600,
    )


def _read(home: Path, root: Path) -> Life:
    life = Life()
    for each in json.loads((home / "secrets.json").read_text())["items"]:
        for key, value in (each.get("data") or {}).items():
            if any(word in key for word in ("password", ".key", "token", "jaas")):
                life.secrets[f"{each['metadata']['name']} {key}"] = base64.b64decode(value)
    state = root / STATE.relative_to("/")
    for key in sorted((state / "pki").rglob("*.key")):
        life.secrets[key.name] = key.read_bytes()
    objects = json.loads((home / "objects.json").read_text())["items"]
    for each in objects:
        if each["kind"] == "Secret":
            each.pop("data", None)
        name = f"{each['kind']} {each['metadata']['name']}"
        life.places[name] = life.places.get(name, b"") + json.dumps(each).encode()
    own = {"secrets.json", "objects.json", ".kube"}  # the last holds the person's own identity
    files = [each for each in home.rglob("*") if not own & set(each.relative_to(home).parts)]
    # The cluster's store and its keys are where secrets belong.
    kept = ("etcd", "pki", "config")
    files += [each for each in state.rglob("*") if each.relative_to(state).parts[0] not in kept]
    for file in files:
        if file.is_file() and not file.is_symlink():
            life.places[str(file)] = file.read_bytes()
    store = [each for each in (state / "etcd").rglob("*") if each.is_file()]
    life.store = b"".join(each.read_bytes() for each in store)
    return life


def _forms(secret: bytes) -> set[bytes]:
    """How a secret may be written: as it is, in base64, in a URL; a key by a line of its own."""
    text = secret.decode()
    if "-----BEGIN" in text:
        lines = [each for each in text.splitlines() if each and not each.startswith("-----")]
        return {lines[1].encode(), base64.b64encode(secret)[120:200]}
    return {
        secret,
        base64.b64encode(secret).rstrip(b"=")[:-1],
        base64.urlsafe_b64encode(secret).rstrip(b"=")[:-1],
        quote(text, safe="").encode(),
        json.dumps(text)[1:-1].encode(),
    }


def test_what_is_searched_is_all_there(life: Life) -> None:
    """A search that looked at nothing would find nothing."""
    assert len(life.secrets) >= 2
    in_secrets = [each for name, each in life.secrets.items() if " " in name]
    assert all(any(form in life.store for form in _forms(each)) for each in in_secrets)
    assert any(name.startswith("StatefulSet ") for name in life.places)
    assert any(name.startswith("Event ") for name in life.places)
    processes = next(data for name, data in life.places.items() if name.endswith("/processes"))
    for started in (b'"verify"', b"kafka-server-start.sh", b"PGDATA=", b'"psql"', b"containerd"):
        assert started in processes


@pytest.mark.intruder("searches what was printed, written, stored or started", by="no secret there")
def test_no_secret_is_anywhere_else(life: Life) -> None:
    found = [
        f"{name} in {place}"
        for name, secret in life.secrets.items()
        for form in _forms(secret)
        for place, data in life.places.items()
        if form in data
    ]
    assert found == []
