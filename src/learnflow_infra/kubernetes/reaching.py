"""Why no connection to the API server was made: the context's credential plug-in, a proxy that the
environment or the kubeconfig names, or the server itself."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlsplit

from learnflow_infra.findings.failures import Failure, Finding, finding
from learnflow_infra.host import proxies
from learnflow_infra.kubernetes.errors import NotReached
from learnflow_infra.kubernetes.kubeconfig import Entry, login_command

_MOST_HINT = 300
# In the words of Go's net/http, which kubectl passes on.
_CREDENTIALS = "getting credentials: "
_ABSENT = re.compile(r"exec: (executable \S+ not found|fork/exec .*: no such file or directory)")
_NO_TERMINAL = "cannot support interactive mode"
_OF_PLUGIN = re.compile(r"exec: (executable \S+ )?")
_OF_PROXY = re.compile(r"proxyconnect |socks connect |invalid proxy address")
# Of plug-ins that no kubectl takes any more.
_OUTDATED = re.compile(r"exec plugin: invalid apiVersion|auth plugin has been removed")
# What a proxy answers instead of connecting is passed on as its status line's words.
_PHRASES = {each.phrase for each in HTTPStatus}


def explained(
    context: str, error: NotReached, entry: Callable[[], Entry], words: Callable[[], str]
) -> Failure:
    """The error with its cause; `words` are what a plug-in printed last."""
    _, of_plugin, reason = error.output.partition(_CREDENTIALS)
    if of_plugin:
        return Failure(_of_plugin(context, reason, entry(), words))
    return Failure(*(_with_proxy(context, each, error.output, entry()) for each in error.findings))


def ended(context: str, output: str) -> Failure:
    """The error of a kubectl that has ended, by its last words."""
    if _OUTDATED.search(output):
        message = f"context {context!r}: {output}"
        remedy = (
            "Fetch the cluster's kubeconfig again with its maker's own tool, or name another "
            "context with --context."
        )
        return Failure(finding("credential-plugin-failed", message, remedy=remedy))
    return Failure(finding("kubectl-failed", f"kubectl proxy ended: {output}"))


def through_proxy(entry: Entry) -> str:
    """Which proxy requests go through, in words; empty without one."""
    if entry.proxy:
        return f"the kubeconfig's proxy-url leads to {proxies.without_password(entry.proxy)}"
    found = proxies.used_for(entry.server)
    return f"{found[0]} leads to {found[1]}" if found else ""


def _of_plugin(context: str, reason: str, entry: Entry, words: Callable[[], str]) -> Finding:
    plugin = f"context {context!r}: its credential plug-in {entry.plugin}".rstrip()
    login = login_command(context)
    if _ABSENT.match(reason):
        hint = f": {entry.hint[:_MOST_HINT].rstrip('.')}" if entry.hint else ""
        remedy = f"Install it{hint}. Or name another context with --context."
        return finding("credential-plugin-missing", f"{plugin} is not installed", remedy=remedy)
    if _NO_TERMINAL in reason:
        remedy = (
            f"Repeat the command at a terminal. To do without one, log in there with {login}, and "
            "set interactiveMode of the user in the kubeconfig to IfAvailable."
        )
        message = f"{plugin} runs only at a terminal, and there is none"
        return finding("credential-plugin-terminal", message, remedy=remedy)
    output = ": ".join(filter(None, (_OF_PLUGIN.sub("", reason, count=1), words())))
    message = f"{plugin}: {output}"
    remedy = f"Run {login} at a terminal until it answers, then repeat."
    return finding("credential-plugin-failed", message, remedy=remedy)


def _with_proxy(context: str, found: Finding, output: str, entry: Entry) -> Finding:
    proxy = through_proxy(entry)
    if not proxy:
        return found
    if not (_OF_PROXY.search(output) or output in _PHRASES):
        return replace(found, message=f"{found.message} ({proxy})")
    host = urlsplit(entry.server).hostname or "the API server"
    message = f"context {context!r}: {proxy}, which gives no way to {host}: {output}"
    away = "correct it in the kubeconfig" if entry.proxy else f"add {host} to NO_PROXY"
    return finding(
        "proxy-failed", message, remedy=f"Mend the proxy; or, where none is needed, {away}."
    )
