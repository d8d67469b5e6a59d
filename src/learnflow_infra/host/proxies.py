"""The proxy that the environment names, read as kubectl and Minikube read it.

The rule is that of Go's golang.org/x/net/http/httpproxy: upper case goes before lower case,
ALL_PROXY means nothing, loopback is never proxied, and NO_PROXY lists names, domains, addresses and
networks.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

_NAMES = {"https": ("HTTPS_PROXY", "https_proxy"), "http": ("HTTP_PROXY", "http_proxy")}
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
# A user's name and password in a URL, also in one that is none by the rules.
_USER_INFO = re.compile(r"//[^/\"'@]*@")


def are_named() -> bool:
    """Whether there is any."""
    return any(map(_first, _NAMES.values()))


def used_for(url: str) -> tuple[str, str] | None:
    """The variable that a request to a URL is led away by, and the proxy that it leads to, as it
    may be shown; None where it goes straight."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    name = _first(_NAMES.get(parts.scheme, ()))
    exceptions = os.environ.get(_first(_EXCEPTIONS) or "", "")
    direct = host == "localhost" or _is_loopback(host) or _listed(host, exceptions)
    return None if name is None or direct else (name, without_password(os.environ[name]))


def go_around(addresses: Iterable[str]) -> None:
    """Except addresses and networks from the proxy, for this process and all that it starts."""
    if not are_named():
        return
    listed = os.environ.get(_first(_EXCEPTIONS) or "", "")
    there = [each.strip() for each in listed.split(",") if each.strip()]
    for name in _EXCEPTIONS:
        os.environ[name] = ",".join(dict.fromkeys((*there, *addresses)))


def without_password(text: str) -> str:
    """A text whose URLs name no user and no password."""
    return _USER_INFO.sub("//", text)


def _first(names: Iterable[str]) -> str | None:
    return next((name for name in names if os.environ.get(name)), None)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listed(host: str, exceptions: str) -> bool:
    return any(_matches(host, each.strip().lower()) for each in exceptions.split(","))


def _matches(host: str, exception: str) -> bool:
    if exception == "*":
        return True
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(exception, strict=False)
    except ValueError:
        domain = exception.rpartition(":")[0] or exception
        domain = domain.removeprefix("*")
        if domain.startswith("."):
            return host.endswith(domain)
        return bool(domain) and (host == domain or host.endswith(f".{domain}"))
