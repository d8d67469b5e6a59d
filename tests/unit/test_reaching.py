"""Why an API server was not reached: credential plug-ins and proxies, named with what helps."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from fake_api import Answer, kube, listed, serving

from learnflow_infra import cli
from learnflow_infra.findings.causes import Exit
from learnflow_infra.findings.failures import Failure
from learnflow_infra.host import proxies
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import process
from learnflow_infra.kubernetes.client import Kube

SERVER = "https://203.0.113.7:6443"
# As kubectl words it.
ABSENT = """\
getting credentials: exec: executable shop-login not found

It looks like you are trying to use a client-go credential plugin that is not installed.

To learn more about this feature, consult the documentation available at:
      https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins
"""
HINT = "Get it from the shop.\nReally."


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")


def plain(text: str) -> Answer:
    return Answer(500, text, "text/plain; charset=utf-8")


def configured(folder: Path, *, plugin: str = "", **cluster: str) -> None:
    """What the stand-in says that the kubeconfig holds."""
    user: dict[str, Any] = {"exec": {"command": plugin, "installHint": HINT}} if plugin else {}
    config = {
        "clusters": [{"name": "c", "cluster": {"server": SERVER, **cluster}}],
        "users": [{"name": "u", "user": user}],
    }
    (folder / "server.config").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("said", "code", "message", "remedy"),
    [
        (ABSENT, "missing", "shop-login is not installed", "Get it from the shop. Really"),
        (
            "getting credentials: exec: fork/exec /opt/shop-login: no such file or directory",
            "missing",
            "is not installed",
            "Get it from the shop",
        ),
        (
            "getting credentials: exec: executable shop-login failed with exit code 3",
            "failed",
            "shop-login: failed with exit code 3",
            "`kubectl --context somewhere get namespaces`",
        ),
        ("getting credentials: decoding stdout: no kind", "failed", "decoding stdout", "kubectl"),
        (
            "getting credentials: exec plugin cannot support interactive mode: standard input is "
            "not a terminal",
            "terminal",
            "only at a terminal",
            "interactiveMode",
        ),
    ],
)
@pytest.mark.parametrize("way", ["request", "stream"])
def test_a_credential_plugin_has_its_own_cause(
    tmp_path: Path, said: str, code: str, message: str, remedy: str, way: str
) -> None:
    configured(tmp_path, plugin="shop-login")
    with kube(tmp_path, lambda *_: plain(said)) as api, pytest.raises(Failure) as failed:
        if way == "stream":
            api.exec("learnflow", "kafka-0", "kafka", ["true"])
        api.list("Pod", "learnflow")
    (found,) = failed.value.findings
    assert found.code == f"credential-plugin-{code}"
    assert message in found.message and remedy in found.remedy
    assert failed.value.exit_code is Exit.NO_CLUSTER


@pytest.mark.parametrize(
    "said",
    [
        'error: exec plugin: invalid apiVersion "client.authentication.k8s.io/v1alpha1"',
        "error: The gcp auth plugin has been removed.\nPlease use another.\nSee the manual",
    ],
)
def test_one_of_a_time_gone_by_is_told_with_what_replaces_it(tmp_path: Path, said: str) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{said}\nEND\nexit 1\n")
    kubectl.chmod(0o755)
    with (
        Kube([str(kubectl)], "somewhere", Deadline(20)) as api,
        pytest.raises(Failure) as failed,
    ):
        api.list("Pod", "learnflow")
    (found,) = failed.value.findings
    assert found.code == "credential-plugin-failed"
    assert " ".join(said.split()) in found.message
    assert "Fetch the cluster's kubeconfig again" in found.remedy


def asking(folder: Path, kubectl: str, script: str) -> str:
    """A kubectl that does something before it serves."""
    (folder / "asks").mkdir()
    file = folder / "asks" / "kubectl"
    file.write_text(f'#!/bin/sh\nif [ "$1" = proxy ]; then {script}; fi\nexec {kubectl} "$@"\n')
    file.chmod(0o755)
    return str(file)


def test_what_it_asks_reaches_the_user_and_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.kubernetes.client.REQUEST_SECONDS", 0.3)
    monkeypatch.setattr(process, "_LOGIN_SECONDS", 0.2)
    configured(tmp_path, plugin="/opt/shop-login")
    noted: list[str] = []
    question = "open https://login.example and enter " + "A" * 100

    def respond(*_: str) -> Answer:
        while sum("waiting for" in each for each in noted) < 2:  # the login takes its time
            time.sleep(0.01)
        return listed()

    with serving(tmp_path, respond) as (kubectl,):
        script = (
            "echo fetching >&2; echo Starting to serve on x; echo 'E1127 00:00:00 own' >&2; "
            f"echo '{question}' >&2; printf 'code? ' >&2"
        )
        asks = asking(tmp_path, kubectl, script)
        with Kube([asks], "somewhere", Deadline(20), noted.append) as api:
            assert api.list("Pod", "learnflow") == []
    assert f"shop-login: {question}" in noted
    assert "shop-login: code?" in noted
    assert not any("own" in each or "fetching" in each for each in noted)


def test_a_login_that_never_ends_is_the_commands_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.kubernetes.client.REQUEST_SECONDS", 0.2)
    configured(tmp_path, plugin="shop-login")
    with (
        kube(tmp_path, lambda *_: None, seconds=1) as api,
        pytest.raises(Failure, match=r"deadline-passed: .*waiting for the credential plug-in shop"),
    ):
        api.list("Pod", "learnflow")


def test_without_a_plugin_nothing_is_waited_for_or_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.kubernetes.client.REQUEST_SECONDS", 0.2)
    configured(tmp_path)
    noted: list[str] = []
    with serving(tmp_path, lambda *_: None) as (kubectl,):
        asks = asking(tmp_path, kubectl, "echo Starting to serve on x; echo a word >&2")
        with (
            Kube([asks], "somewhere", Deadline(20), noted.append) as api,
            pytest.raises(Failure, match="api-slow"),
        ):
            api.list("Pod", "learnflow")
    assert noted == []


def test_it_may_ask_at_the_users_terminal(tmp_path: Path) -> None:
    """A plug-in whose interactiveMode is Always runs where the command has a terminal."""
    (bin_ := tmp_path / "bin").mkdir()
    (bin_ / "kubectl").write_text(
        "#!/bin/sh\n[ -t 0 ] && echo 'error: there is a terminal' || echo 'error: none'\nexit 1\n"
    )
    (bin_ / "kubectl").chmod(0o755)
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "learnflow_infra", "status", "--context", "somewhere"]
    environment = os.environ | {"PATH": f"{bin_}:/usr/bin:/bin", "HOME": str(tmp_path)}
    said = []
    for stdin in (theirs, subprocess.DEVNULL):
        done = subprocess.run(
            argv, stdin=stdin, capture_output=True, text=True, timeout=60, env=environment
        )
        said.append(re.findall(r"error: (.*)", done.stdout))
    os.close(ours)
    os.close(theirs)
    assert said == [["there is a terminal"], ["none"]]


# ---- proxies


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    "said",
    [
        "proxyconnect tcp: dial tcp 192.0.2.1:3128: connect: connection refused",
        "socks connect tcp 192.0.2.1:1080->203.0.113.7:6443: unexpected protocol version 72",
        "Proxy Authentication Required",
        "Forbidden",
        "Service Unavailable",
    ],
)
def test_a_proxy_that_does_not_lead_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, said: str
) -> None:
    monkeypatch.setenv(name, "http://me:sesame@192.0.2.1:3128")
    configured(tmp_path)
    with kube(tmp_path, lambda *_: plain(said)) as api, pytest.raises(Failure) as failed:
        api.list("Pod", "learnflow")
    (found,) = failed.value.findings
    assert found.code == "proxy-failed"
    assert f"{name} leads to http://192.0.2.1:3128" in found.message
    assert "add 203.0.113.7 to NO_PROXY" in found.remedy
    assert "sesame" not in str(found)


def test_the_kubeconfigs_own_proxy_is_named(tmp_path: Path) -> None:
    configured(tmp_path, **{"proxy-url": "http://me:sesame@192.0.2.1:3128"})
    with (
        kube(tmp_path, lambda *_: plain("proxyconnect tcp: EOF")) as api,
        pytest.raises(Failure) as failed,
    ):
        api.list("Pod", "learnflow")
    (found,) = failed.value.findings
    assert found.code == "proxy-failed"
    assert "proxy-url leads to http://192.0.2.1:3128" in found.message
    assert "correct it in the kubeconfig" in found.remedy
    assert "sesame" not in str(found)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("x509: certificate signed by unknown authority", "api-certificate-refused"),
        ("EOF", "cluster-unreachable"),
    ],
)
def test_what_may_come_of_a_proxy_says_that_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: str
) -> None:
    configured(tmp_path)
    for proxy, told in (("http://192.0.2.1:3128", True), ("", False)):
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        (folder := tmp_path / f"{told}").mkdir()
        configured(folder)
        with kube(folder, lambda *_: plain(said)) as api, pytest.raises(Failure) as failed:
            api.list("Pod", "learnflow")
        (found,) = failed.value.findings
        assert found.code == code
        assert ("HTTPS_PROXY leads to" in found.message) is told


def test_a_silent_proxy_is_named_beside_the_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learnflow_infra.kubernetes.client.REQUEST_SECONDS", 0.2)
    monkeypatch.setenv("https_proxy", "http://192.0.2.1:3128")
    configured(tmp_path)
    with (
        kube(tmp_path, lambda *_: None) as api,
        pytest.raises(Failure, match=r"api-slow: .*https_proxy leads to http://192"),
    ):
        api.list("Pod", "learnflow")


def test_a_password_in_a_url_is_not_shown_whoever_says_it(tmp_path: Path) -> None:
    said = 'invalid proxy address "http://me:ses ame@192.0.2.1:x"'
    with kube(tmp_path, lambda *_: plain(said)) as api, pytest.raises(Failure) as failed:
        api.list("Pod", "learnflow")
    assert "ses" not in str(failed.value)


@pytest.mark.parametrize(
    ("exceptions", "url", "used"),
    [
        ("", "https://10.219.0.2:6443", True),
        ("", "https://127.0.0.1:6443", False),
        ("", "https://[::1]:6443", False),
        ("", "https://localhost:6443", False),
        ("10.219.0.2", "https://10.219.0.2:6443", False),
        ("10.219.0.2:6443", "https://10.219.0.2:6443", False),
        ("10.219.0.20", "https://10.219.0.2:6443", True),
        ("a.example, 10.219.0.0/16", "https://10.219.0.2:6443", False),
        ("*", "https://10.219.0.2:6443", False),
        ("example.com", "https://api.Example.com", False),
        (".example.com", "https://api.example.com", False),
        (".example.com", "https://example.com", True),
        ("ample.com", "https://example.com", True),
    ],
)
def test_the_exceptions_are_go_s(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, url: str, used: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    monkeypatch.setenv("no_proxy", exceptions)
    assert proxies.used_for(url) == (("HTTPS_PROXY", "http://192.0.2.1:3128") if used else None)


def test_each_scheme_has_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://192.0.2.1:1")  # which kubectl does not heed
    monkeypatch.setenv("http_proxy", "http://192.0.2.1:2")
    assert proxies.used_for("https://10.0.0.1") is None
    assert proxies.used_for("http://10.0.0.1") == ("http_proxy", "http://192.0.2.1:2")


def test_what_is_on_this_machine_is_gone_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kubectl inherits the exception, in both of its spellings."""
    monkeypatch.setenv("HTTPS_PROXY", "http://192.0.2.1:3128")
    monkeypatch.setenv("no_proxy", "a.example")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "minikube").write_text("#!/bin/sh\n" + _MINIKUBE)
    (tmp_path / "minikube").chmod(0o755)
    file = tmp_path / "kubectl"
    file.write_text('#!/bin/sh\necho "error: $NO_PROXY and $no_proxy"; exit 1\n')
    file.chmod(0o755)
    for name in ("--cluster=minikube", "--context=minikube"):
        said = _printed(monkeypatch, "status", name)
        for each in ("a.example", "192.168.49.2", "10.219.0.0/16"):
            assert said.count(each) == 2, (name, said)


_MINIKUBE = """\
case "$*" in
*profile\\ list*) echo '{"valid": [{"Name": "minikube", "Config": {"Nodes":
    [{"IP": "192.168.49.2"}, {"IP": ""}]}}]}' ;;
*) echo '{"Name":"minikube","Host":"Running","Kubelet":"Running","APIServer":"Running",
    "Kubeconfig":"Configured","Worker":false}' ;;
esac
"""


def _printed(monkeypatch: pytest.MonkeyPatch, *argv: str) -> str:
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert cli.run([*argv]) == Exit.NO_CLUSTER
    return out.getvalue()
