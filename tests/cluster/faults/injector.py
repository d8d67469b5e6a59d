"""An admission webhook as other teams run them: it alters or refuses the pods of a namespace.

The cluster calls it on the host, with a certificate of its own making.
"""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from learnflow_infra.cluster.local import layout
from learnflow_infra.host.x509 import Authority

Pod = dict[str, Any]
Alter = Callable[[Pod], None]

LABEL = "injected-by"
NAME = "injector"


class Refusal(Exception):
    """What an `Alter` raises to refuse a pod."""


class Injector:
    """Serves for as long as the context lasts; `alter` holds what is done, by namespace."""

    def __init__(self, folder: Path) -> None:
        self.alter: dict[str, Alter] = {}
        self.asked: set[str] = set()
        self._certificate = _certificate(folder)
        self._server: http.server.ThreadingHTTPServer | None = None

    def __enter__(self) -> Injector:
        injector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                body = json.dumps(injector._answer(review["request"])).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = http.server.ThreadingHTTPServer((layout.HOST_ADDRESS, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self._server = server
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()

    def configuration(self) -> dict[str, Any]:
        """What makes the API server call it for new pods of labelled namespaces."""
        assert self._server is not None
        url = f"https://{layout.HOST_ADDRESS}:{self._server.server_address[1]}/"
        return configuration("MutatingWebhookConfiguration", NAME, url, self._certificate)

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.add(request["namespace"])
        response: dict[str, Any] = {"uid": request["uid"], "allowed": True}
        if alter := self.alter.get(request["namespace"]):
            pod = request["object"]
            try:
                alter(pod)
            except Refusal as refusal:
                response |= {"allowed": False, "status": {"message": str(refusal)}}
            else:
                replaced = [
                    {"op": "replace", "path": f"/{key}", "value": pod[key]}
                    for key in ("metadata", "spec")
                ]
                patch = base64.b64encode(json.dumps(replaced).encode()).decode()
                response |= {"patchType": "JSONPatch", "patch": patch}
        return {
            "apiVersion": "admission.k8s.io/v1",
            "kind": "AdmissionReview",
            "response": response,
        }


def configuration(kind: str, name: str, url: str, certificate: Path | None) -> dict[str, Any]:
    client: dict[str, Any] = {"url": url}
    if certificate is not None:
        content = certificate.read_bytes()
        trusted = content[content.index(b"-----BEGIN CERTIFICATE") :]
        client["caBundle"] = base64.b64encode(trusted).decode()
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "webhooks": [
            {
                "name": f"{name}.example.com",
                "clientConfig": client,
                "rules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {LABEL: name}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 3,
                "failurePolicy": "Fail",
            }
        ],
    }


def _certificate(folder: Path) -> Path:
    authority = Authority.new(NAME, 1)
    pair = authority.issue(NAME, 1, alternatives=[layout.HOST_ADDRESS], client=False)
    path = folder / "injector.pem"
    path.write_text(pair.key + pair.certificate + authority.pair.certificate)
    return path
