"""The proxy that the environment names for HTTPS, read as kubectl and Minikube read it.

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

_NAMES = ("HTTPS_PROXY", "https_proxy")
_EXCEPTIONS = ("NO_PROXY", "no_proxy")
# A user's name and password in a URL, also in one that is none by the rules.
_USER_INFO = re.compile(r"//[^/\"'@]*@")


def named() -> tuple[str, str] | None:
    """The variable that is heeded, and the URL that it leads to, as it may be shown."""
    name = _first(_NAMES)
    return (name, without_password(os.environ[name])) if name else None


def used_for(url: str) -> bool:
    """Whether a request to a URL goes through the proxy of the environment."""
    host = urlsplit(url).hostname or ""
    exceptions = os.environ.get(_first(_EXCEPTIONS) or "", "")
    direct = host == "localhost" or _is_loopback(host)
    return named() is not None and not direct and not _listed(host, exceptions)


def go_around(addresses: Iterable[str]) -> None:
    """Except addresses and networks from the proxy, for this process and all that it starts."""
    if named() is None:
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
