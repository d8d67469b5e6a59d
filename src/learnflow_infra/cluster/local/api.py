"""The cluster's API as its own administrator sees it: small requests with the standard library."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlsplit

from learnflow_infra.cluster.local import layout

_SECONDS = 5.0  # for one request, on the node or from its host


class ApiRefused(Exception):
    """An answer other than success."""

    def __init__(self, request: str, status: int, content: bytes) -> None:
        self.status = status
        super().__init__(f"{request}: {status} {content[:300].decode(errors='replace')}")


class Api:
    """Requests over one connection. Raises OSError, HTTPException or ApiRefused."""

    def __init__(self) -> None:
        self._trust = ssl.create_default_context(cafile=str(layout.PKI / "ca.crt"))
        self._trust.load_cert_chain(layout.PKI / "admin.crt", layout.PKI / "admin.key")
        self._connection = self._connect(layout.API_SERVER)

    def close(self) -> None:
        self._connection.close()

    def answers(self, url: str) -> bool:
        """Whether a health URL of the node answers that all is well."""
        connection = self._connect(url)
        parts = urlsplit(url)
        try:
            connection.request("GET", f"{parts.path}?{parts.query}")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        return self._request("GET", path)

    def apply(self, path: str, body: dict[str, Any]) -> None:
        """Server-side apply under the local cluster's own field manager."""
        query = f"?fieldManager={layout.NAME}&force=true"
        self._request("PATCH", path + query, body, "application/apply-patch+yaml")

    def patch(self, path: str, body: dict[str, Any]) -> None:
        self._request("PATCH", path, body, "application/strategic-merge-patch+json")

    def _connect(self, url: str) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        assert parts.hostname is not None
        if parts.scheme == "http":
            return http.client.HTTPConnection(parts.hostname, parts.port, timeout=_SECONDS)
        return http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_SECONDS, context=self._trust
        )

    def _request(
        self, method: str, path: str, body: dict[str, Any] | None = None, kind: str = ""
    ) -> Any:
        headers = {"Content-Type": kind} if kind else {}
        try:
            self._connection.request(
                method, path, None if body is None else json.dumps(body), headers
            )
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        if answer.status >= 300:
            raise ApiRefused(f"{method} {path}", answer.status, content)
        return json.loads(content)
