"""What the words of the API server and of kubectl mean."""

from __future__ import annotations

import json

from learnflow_infra.findings.failures import Failure, finding

_OVERLOADED = (429, 504)
_GATEWAY = (502, 503, 504)


class ApiError(Failure):
    """The API's refusal of what was asked; `api-error` to who has no better word for it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        self.message = " ".join(message.split())[:400]
        super().__init__(finding("api-error", f"the API server: {code} {reason}: {self.message}"))


def refusal(context: str, code: int, form: str, body: bytes) -> Failure:
    """The error of an answer with a status of 400 or more; `form` is its content type."""
    text = body.decode(errors="replace")
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", text
    error = ApiError(code, reason, message)
    where = f"context {context!r}"
    if code == 401:
        return Failure(finding("identity-refused", f"{where}: {error.message}"))
    if code == 403 and "is forbidden: User" in error.message:
        return Failure(finding("permission-missing", error.message))
    if not reason and (code in _GATEWAY or _of_kubectl(code, form)):
        return Failure(finding(*_unreached(where, error.message)))
    if code in _OVERLOADED:
        return Failure(finding("api-slow", f"the API server: {code} {reason}: {error.message}"))
    # Of the server's own trouble, and not of what was asked, there is no better word.
    return error if reason and code != 503 else Failure(*error.findings)


def _of_kubectl(code: int, form: str) -> bool:
    """Whether it is kubectl's proxy that speaks, of a connection that it could not make."""
    return code == 500 and form.startswith("text/plain")


def _unreached(where: str, said: str) -> tuple[str, str]:
    """The code and the message of a connection to the API server that was not made."""
    if "remote error: tls:" in said:
        return "identity-refused", f"{where}: {said}"
    if "x509:" in said:
        return "api-certificate-refused", f"{where}: {said}"
    return "cluster-unreachable", f"{where} does not answer: {said or 'no connection'}"
