"""What stands between a person and the API server: credential plug-ins, and proxies."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from .conftest import CONTEXT, Person
from .machine import COMMAND, Machine

PLUGIN = """\
#!/bin/sh
echo 'open https://login.example and enter ABCD' >&2
until [ -e {done} ]; do sleep 0.1; done
cat {credential}
"""


@pytest.fixture
def plugin(deployed: Person, tmp_path: Path) -> Iterator[tuple[Person, dict[str, str]]]:
    """A context whose credentials come from a program that is not there yet."""
    shown: dict[str, Any] = json.loads(deployed.kubectl("config", "view", "--raw", "-o", "json"))
    (user,) = (each["user"] for each in shown["users"] if each["name"] == CONTEXT)
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": user["token"]},
    }
    (tmp_path / "credential").write_text(json.dumps(credential))
    user.pop("token")
    user["exec"] = {
        "apiVersion": credential["apiVersion"],
        "command": "shop-login",
        "installHint": "Get it from the shop.",
        "interactiveMode": "IfAvailable",
    }
    for each in (*shown["users"], *shown["contexts"]):
        if each["name"] == CONTEXT:
            each["name"] = "shop"
    next(each for each in shown["contexts"] if each["name"] == "shop")["context"]["user"] = "shop"
    (tmp_path / "config").write_text(json.dumps(shown))
    path = f"{tmp_path}:{deployed.kubectl_folder()}:{deployed.environment['PATH']}"
    yield deployed, {"KUBECONFIG": str(tmp_path / "config"), "PATH": path}


def install(folder: Path) -> None:
    file = folder / "shop-login"
    file.write_text(PLUGIN.format(done=folder / "logged-in", credential=folder / "credential"))
    file.chmod(0o755)


def test_a_plugin_that_is_not_installed_is_named_and_installing_it_helps(
    plugin: tuple[Person, dict[str, str]], tmp_path: Path
) -> None:
    person, environment = plugin
    answer = person.run(
        "verify", "postgres", "--context", "shop", "--json", timeout=60, **environment
    )
    assert (answer.exit_code, answer.codes) == (3, ["credential-plugin-missing"])
    (found,) = answer.json["findings"]
    assert "shop-login is not installed" in found["message"]
    assert "Get it from the shop" in found["remedy"]

    install(tmp_path)
    (tmp_path / "logged-in").touch()
    answer = person.run("verify", "postgres", "--context", "shop", timeout=60, **environment)
    assert answer.exit_code == 0, answer.stdout


def test_a_plugin_asks_the_person_and_is_waited_for(
    plugin: tuple[Person, dict[str, str]], tmp_path: Path
) -> None:
    person, environment = plugin
    install(tmp_path)
    process = person.start("verify", "postgres", "--context", "shop", **environment)
    assert process.stderr is not None
    for line in process.stderr:
        if "open https://login.example and enter ABCD" in line:
            break
    (tmp_path / "logged-in").touch()
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0, stdout


def test_a_login_that_nobody_ends_is_the_deadline_s_and_leaves_nothing(
    plugin: tuple[Person, dict[str, str]], tmp_path: Path
) -> None:
    person, environment = plugin
    install(tmp_path)
    limited = ("status", "--context", "shop", "--timeout", "3", "--json")
    answer = person.run(*limited, timeout=60, **environment)
    assert (answer.exit_code, answer.codes) == (5, ["deadline-passed"])
    assert "the credential plug-in shop-login" in answer.json["findings"][0]["message"]
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "shop-login")], capture_output=True)
    assert not left.stdout


def test_a_plugin_that_talks_without_end_is_heard_for_a_while(
    plugin: tuple[Person, dict[str, str]], tmp_path: Path
) -> None:
    person, environment = plugin
    file = tmp_path / "shop-login"
    file.write_text("#!/bin/sh\nyes '\033[2Jlog in' | head -c 1000000 >&2\nexit 1\n")
    file.chmod(0o755)
    answer = person.run("status", "--context", "shop", "--json", timeout=60, **environment)
    assert (answer.exit_code, answer.codes) == (3, ["credential-plugin-failed"])
    assert len(answer.stderr) < 8000
    assert "\033" not in answer.stderr


def test_a_plugin_that_fails_is_told_with_its_last_words(
    plugin: tuple[Person, dict[str, str]], tmp_path: Path
) -> None:
    person, environment = plugin
    file = tmp_path / "shop-login"
    file.write_text("#!/bin/sh\necho 'your login has ended' >&2\nexit 7\n")
    file.chmod(0o755)
    answer = person.run("status", "--context", "shop", "--json", timeout=60, **environment)
    assert (answer.exit_code, answer.codes) == (3, ["credential-plugin-failed"])
    (found,) = answer.json["findings"]
    assert "shop-login: failed with exit code 7: your login has ended" in found["message"]
    install(tmp_path)
    (tmp_path / "logged-in").touch()
    answer = person.run("status", "--context", "shop", timeout=60, **environment)
    assert answer.exit_code == 0, answer.stdout


def test_a_plugin_that_needs_a_terminal_says_how_to_do_without(
    plugin: tuple[Person, dict[str, str]], tmp_path: Path
) -> None:
    person, environment = plugin
    install(tmp_path)
    (tmp_path / "logged-in").touch()
    config = tmp_path / "config"
    config.write_text(config.read_text().replace("IfAvailable", "Always"))
    answer = person.run("status", "--context", "shop", "--json", timeout=60, **environment)
    assert (answer.exit_code, answer.codes) == (3, ["credential-plugin-terminal"])
    assert "interactiveMode" in answer.json["findings"][0]["remedy"]

    config.write_text(config.read_text().replace("Always", "IfAvailable"))
    answer = person.run("status", "--context", "shop", timeout=60, **environment)
    assert answer.exit_code == 0, answer.stdout


@contextmanager
def refusing() -> Iterator[int]:
    """The port of a proxy on loopback that lets nobody through."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.recv(4096)
                    client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_the_local_cluster_is_reached_around_a_proxy(deployed: Person, name: str) -> None:
    with refusing() as port:
        proxy = {name: f"http://127.0.0.1:{port}"}
        answer = deployed.run("verify", timeout=60, **proxy)
        assert answer.exit_code == 0, answer.stdout
        answer = deployed.run_in(CONTEXT, "status")
        assert answer.exit_code == 0, answer.stdout


def test_a_proxy_that_does_not_lead_to_a_cluster_is_named(deployed: Person, tmp_path: Path) -> None:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "far", "cluster": {"server": "https://203.0.113.7:6443"}}],
        "contexts": [{"name": "far", "context": {"cluster": "far", "user": "far"}}],
        "users": [{"name": "far", "user": {"token": "x"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    with refusing() as port:
        answer = deployed.run(
            *("status", "--context", "far", "--json"),
            KUBECONFIG=str(tmp_path / "config"),
            HTTPS_PROXY=f"http://me:sesame@127.0.0.1:{port}",
            PATH=f"{deployed.kubectl_folder()}:{deployed.environment['PATH']}",
        )
    assert (answer.exit_code, answer.codes) == (3, ["proxy-failed"])
    assert f"HTTPS_PROXY leads to http://127.0.0.1:{port}" in answer.json["findings"][0]["message"]
    assert "sesame" not in answer.stdout + answer.stderr


def test_the_local_cluster_starts_beside_a_proxy(deployed: Person, tmp_path: Path) -> None:
    """Its own parts go around it, too."""
    machine = Machine(tmp_path)
    try:
        proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
        machine.run(COMMAND, "cluster", "up", env=proxy)
        assert machine.get("nodes")["items"]
    finally:
        machine.end()
