"""Which passwords a user may put into a credentials Secret: those that every client takes alike.

Servers and clients prepare a password by SASLprep (RFC 4013), or do not: one that it changes lets
some in and others not.
"""

from __future__ import annotations

import shlex
import stringprep
import unicodedata
from collections.abc import Mapping

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.settings import Settings

_MOST = 1000  # characters
_PREFIX = "password"
_UNDECODED = "\ufffd"
_FORBIDDEN = (
    stringprep.in_table_a1,
    stringprep.in_table_c21_c22,
    *(stringprep.in_table_c3, stringprep.in_table_c4, stringprep.in_table_c5),
    *(stringprep.in_table_c6, stringprep.in_table_c7, stringprep.in_table_c8),
    stringprep.in_table_c9,
)


def require_usable(settings: Settings, service: str, values: Mapping[str, str]) -> None:
    """Raise Failure(password-unusable) for the first of a service's credentials that is not."""
    for key, value in values.items():
        if key.startswith(_PREFIX) and (what := flaw(value)):
            raise unusable(settings, service, key, what)


def unusable(settings: Settings, service: str, key: str, what: str) -> Failure:
    """The Failure of a password, which it does not tell; `what` is wrong with it."""
    secret = f"{service}-credentials"
    patch = f'[{{"op": "remove", "path": "/data/{key}"}}]'
    where = (secret, "-n", settings.cluster.namespace)
    command = shlex.join(("kubectl", "patch", "secret", *where, "--type=json", "-p", patch))
    remedy = (
        f"Write it anew, or remove it with `{command}`: then `learnflow-infra up` makes a new one."
    )
    message = f"{key} in the Secret {secret} {what}"
    return Failure(finding("password-unusable", message, service=service, remedy=remedy))


def flaw(password: str) -> str:
    """What keeps a password from being used; empty where nothing does."""
    if not password:
        return "is empty"
    if _UNDECODED in password:
        return "is no UTF-8"
    if password[-1] in "\r\n":
        return "ends with a line break"
    if password[-1].isspace():  # a service file of libpq's forgets it
        return "ends with white space"
    if any(unicodedata.category(each) == "Cc" for each in password):
        return "holds a control character"
    if len(password) > _MOST:
        return f"is longer than {_MOST} characters"
    if not password.isascii() and not _is_prepared(password):
        return "holds letters that SASLprep changes or forbids"
    return ""


def _is_prepared(password: str) -> bool:
    """Whether SASLprep takes a password and leaves it as it is."""
    if unicodedata.ucd_3_2_0.normalize("NFKC", password) != password:
        return False
    for each in password:
        mapped = stringprep.in_table_b1(each) or stringprep.in_table_c12(each)
        if mapped or any(table(each) for table in _FORBIDDEN):
            return False
    # Of letters that are written from right to left, all are or none.
    rightward = [stringprep.in_table_d1(each) for each in password]
    mixed = any(stringprep.in_table_d2(each) for each in password)
    return not any(rightward) or (rightward[0] and rightward[-1] and not mixed)
