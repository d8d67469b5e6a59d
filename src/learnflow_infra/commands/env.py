"""`env`: a login as a client's library reads it, with its password, which is asked for by this."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping

from learnflow_infra import cluster
from learnflow_infra.commands import Request, logins
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.kubernetes.secrets import decoded
from learnflow_infra.pipeline import credentials
from learnflow_infra.report import Report
from learnflow_infra.services import Form, Secrets, Service
from learnflow_infra.settings import Settings


def env(request: Request) -> Report:
    """The services that have the user and the form. Raises Failure."""
    settings, deadline = request.settings, request.deadline
    user, place, wanted = (request.options[key] for key in ("user", "place", "format"))
    provider = cluster.running(cluster.choose(settings.cluster, deadline), deadline)
    forms: dict[str, Mapping[str, Form]] = {}
    users: list[str] = []
    with request.api(provider) as kube:
        for service in request.services:
            secrets = credentials.read(kube, settings, service)
            logins_there = _logins(settings, service, secrets)
            users += logins_there
            if user and user not in logins_there:
                continue
            connection = logins_there[user] if user else secrets.connection
            if place == "host":
                forms[service.name] = logins.on_host(provider, settings, service, connection)
            else:
                forms[service.name] = logins.in_cluster(settings, service, connection)
    if not forms:
        known = ", ".join(dict.fromkeys(users))
        raise Failure(finding("usage", f"there is no user {user!r}; there are {known}"))
    found = {name: every[wanted] for name, every in forms.items() if wanted in every}
    if not found:
        known = ", ".join(dict.fromkeys(each for every in forms.values() for each in every))
        raise Failure(
            finding("usage", f"{', '.join(forms)}: there is no form {wanted!r}; there are {known}")
        )
    return Report("env", lines=_text(wanted, found).splitlines(), details={"logins": found})


def _logins(settings: Settings, service: Service, secrets: Secrets) -> dict[str, Mapping[str, str]]:
    """The connection Secrets' values by their users, and by their own names where these differ."""
    authority = secrets.connection.get("ca.crt", "")
    found: dict[str, Mapping[str, str]] = {}
    for secret in service.connections(settings, secrets.credentials, authority):
        values = decoded(secret)
        found.setdefault(values["username"], values)
        name = secret["metadata"]["name"].removeprefix(f"{service.name}-connection")
        if name.startswith("-"):
            found.setdefault(name[1:], values)
    return found


def _text(wanted: str, found: Mapping[str, Form]) -> str:
    """Lines of text one after the other; of objects that of the one service, or one that holds
    each under its name."""
    forms = list(found.values())
    if wanted == "env":
        return "".join(
            f"{key}={shlex.quote(value)}\n"
            for each in forms
            if not isinstance(each, str)
            for key, value in each.items()
        )
    if isinstance(forms[0], str):
        return "".join(each for each in forms if isinstance(each, str))
    return json.dumps(forms[0] if len(forms) == 1 else found, indent=2)
