"""What the words of the API server and of kubectl mean."""

from __future__ import annotations

import json

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.proxies import without_password

_OVERLOADED = (429, 504)
_UNAVAILABLE = 503
_GATEWAY = (502, 503, 504)
# What a kubelet says of one container; the API server passes it on as it is.
_OF_NODE = ("container not found", "rpc error:")
_NOT_FOUND = 404
# Of a kubelet, through the API server: it does not run, or has just begun to and knows no pod yet.
_DIALING, _NO_POD = "error dialing backend", "pod does not exist"


class ApiError(Failure):
    """The API server refused one request: `api-error`, unless the caller knows a better word.

    `code` is the HTTP status, `reason` Kubernetes' own word for it.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        self.message = _line(message)
        status = f"{code} {reason}".strip()
        super().__init__(finding("api-error", f"the API server: {status}: {self.message}"))


class NotReached(Failure):
    """kubectl's proxy made no connection to the API server; `said` is its reason.

    What stands behind it is for `reaching` to find out.
    """

    def __init__(self, where: str, words: str) -> None:
        self.output = words
        code, message = (
            "cluster-unreachable",
            f"{where} does not answer: {words or 'no connection'}",
        )
        if "remote error: tls:" in words:
            code, message = "identity-refused", f"{where}: {words}"
        elif "x509:" in words:
            code, message = "api-certificate-refused", f"{where}: {words}"
        super().__init__(finding(code, message))


def refusal(context: str, code: int, form: str, body: bytes) -> Failure:
    """The error of an answer with a status of 400 or more; `form` is its content type.

    An ApiError is of this request alone; every other Failure would meet the next one as well.
    """
    text = body.decode(errors="replace")
    try:
        status = json.loads(text)
        reason, message = str(status.get("reason", "")), str(status.get("message", ""))
        of_api = bool(reason) or status.get("kind") == "Status"  # webhooks may give no reason
    except (ValueError, AttributeError):
        reason, message, of_api = "", text, False
    where, message = f"context {context!r}", _line(message)
    plain = form.startswith("text/plain")
    of_node = any(words in message for words in _OF_NODE)
    if code == 401:
        return Failure(finding("identity-refused", f"{where}: {message}"))
    if code == 403 and "is forbidden: User" in message:
        return Failure(finding("permission-missing", message))
    if _DIALING in message or (plain and code == _NOT_FOUND and message == _NO_POD):
        return Failure(finding("kubelet-unavailable", f"a stream to a pod: {code} {message}"))
    if not of_api and (code in _GATEWAY or (plain and code == 500 and not of_node)):
        # kubectl's proxy speaks, of a connection that it could not make.
        return NotReached(where, message)
    if code in _OVERLOADED:
        return Failure(finding("api-slow", f"the API server: {code} {reason}: {message}"))
    if code == _UNAVAILABLE:
        sentence = f"{where} does not serve: {code} {reason}: {message}"
        return Failure(finding("cluster-unreachable", sentence))
    if not of_api and not plain:
        return no_answer(context, f"{code} {message}")
    return ApiError(code, reason, message)


def no_answer(context: str, output: str) -> Failure:
    """The error of an answer that is not an API server's, such as a gateway's page."""
    message = f"context {context!r}: what answers is no API server: {_line(output)}"
    return Failure(finding("cluster-unreachable", message))


def _line(text: str) -> str:
    return without_password(" ".join(text.split())[:400])
