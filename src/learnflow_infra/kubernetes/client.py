"""The Kubernetes API, through the person's own kubectl.

`kubectl proxy` on a private Unix socket brings the person's contexts, credentials and plug-ins;
behind it a request costs milliseconds instead of a process, errors are the API's own Status
objects instead of text, and exec and port-forward are WebSockets on the same socket.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host import process
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.resources import path

FIELD_MANAGER = "learnflow-infra"
REQUEST_SECONDS = 15.0
LOG_SECONDS = 3.0  # the kubelet of a dead node does not answer

_MOST_BYTES = 2**28  # of one answer; a pod is a few thousand
_MARKS = {"kind", "type", "gitVersion"}  # of an object, a watch's event, the server's version
_OVERLOADED = (429, 504)
_GATEWAY = (502, 503, 504)
_PROTOCOL = "v4.channel.k8s.io"

Object = dict[str, Any]


class ApiError(Failure):
    """The API's refusal of what was asked; `api-error` to who has no better word for it."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        self.code = code
        self.reason = reason
        self.message = " ".join(message.split())[:400]
        super().__init__(finding("api-error", f"the API server: {code} {reason}: {self.message}"))


class _Timed(socket.socket):
    """A socket on which all that is received must have come by one moment."""

    def __init__(self, seconds: float) -> None:
        super().__init__(socket.AF_UNIX, socket.SOCK_STREAM)
        self.settimeout(seconds)
        self._until = time.monotonic() + seconds

    def recv_into(self, *arguments: Any) -> int:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self.settimeout(left)
        return super().recv_into(*arguments)


class Kube:
    """One context of one kubeconfig. A context manager; its methods may be called from threads.

    Raises Failure: `cluster-unreachable`, `api-slow`, `api-error`, `identity-refused`,
    `permission-missing`; ApiError for every other refusal.
    """

    def __init__(self, kubectl: Sequence[str], context: str, deadline: Deadline) -> None:
        deadline.remaining()
        self.context = context
        self.deadline = deadline
        self._folder = tempfile.mkdtemp(prefix="learnflow-")
        self._socket = f"{self._folder}/api"
        self._ending = threading.Lock()
        self._said: str | None = None
        argv = [*kubectl, "proxy", f"--context={context}", f"--unix-socket={self._socket}"]
        # exec is refused by default; who may exec is the API server's decision, not the proxy's.
        argv.append("--reject-paths=^$")
        try:
            self._proxy = process.start(argv, stderr=subprocess.STDOUT)
        except OSError as error:
            shutil.rmtree(self._folder)
            raise Failure(finding("kubectl-missing", f"kubectl did not start: {error}")) from error

    def __enter__(self) -> Kube:
        return self

    def __exit__(self, *exc: object) -> None:
        process.end(self._proxy)
        shutil.rmtree(self._folder, ignore_errors=True)

    def require_alive(self) -> None:
        """Raise Failure(kubectl-failed) if kubectl's proxy has ended."""
        if self._proxy.poll() is None:
            return
        with self._ending:  # what it said can be read once, and threads ask side by side
            if self._said is None:
                assert self._proxy.stdout is not None
                lines = self._proxy.stdout.read().decode(errors="replace").strip().splitlines()
                self._said = lines[-1][:300] if lines else f"exit code {self._proxy.returncode}"
        raise Failure(finding("kubectl-failed", f"kubectl proxy ended: {self._said}"))

    def _connect(self, timeout: float) -> socket.socket:
        """A connection to the proxy, which at first is not there and then does not listen yet."""
        while True:
            connection = _Timed(timeout)
            try:
                connection.connect(self._socket)
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
                self.require_alive()
                self.deadline.remaining()
                time.sleep(0.005)
            else:
                return connection

    # ---- requests

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Object:
        """One request and its JSON answer."""
        timeout = min(REQUEST_SECONDS, self.deadline.remaining())
        with self._open(method, path, timeout, query, body, content_type) as response:
            data = response.read(_MOST_BYTES)
            if response.length:  # what was announced and did not come
                raise http.client.IncompleteRead(data, response.length)
            return _object(data)

    @contextlib.contextmanager
    def _open(
        self,
        method: str,
        path: str,
        timeout: float,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
    ) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("localhost", timeout=timeout)
        connection.sock = self._connect(timeout)
        target = "/" + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, target, data, {"Content-Type": content_type})
            response = connection.getresponse()
            if response.status >= 400:
                form = response.headers.get("content-type", "")
                raise self._refusal(response.status, form, response.read(65536))
            yield response
        except TimeoutError as error:
            self.deadline.remaining()
            raise Failure(
                finding("api-slow", f"the API server did not answer {method} within {timeout:g} s")
            ) from error
        except (http.client.HTTPException, ConnectionError) as error:
            raise Failure(
                finding("cluster-unreachable", f"the API server's answer broke off: {error!r:.200}")
            ) from error
        except ValueError as error:
            said = f"the API server's answer to {method} {path} is not the API's: {error}"
            raise Failure(finding("api-error", said[:300])) from error
        finally:
            connection.close()

    def _refusal(self, code: int, form: str, body: bytes) -> Exception:
        text = body.decode(errors="replace")
        try:
            status = json.loads(text)
            reason, message = str(status.get("reason", "")), str(status.get("message", ""))
        except (ValueError, AttributeError):
            reason, message = "", text
        error = ApiError(code, reason, message)
        where = f"context {self.context!r}"
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

    # ---- objects

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """One object, or None if there is none of that name."""
        try:
            return self.request("GET", path("get", kind, namespace, name))
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(
        self,
        kind: str,
        namespace: str | None = None,
        selector: str = "",
        *,
        fields: str = "",
        limit: int | None = None,
    ) -> list[Object]:
        """Objects of a kind, at most `limit`; the items carry no kind, as the API sends them."""
        query = {"labelSelector": selector, "fieldSelector": fields, "limit": limit}
        given = {key: str(value) for key, value in query.items() if value}
        where = path("list", kind, namespace)
        items: list[Object] = self.request("GET", where, query=given)["items"]
        return items

    def log(
        self, namespace: str, pod: str, container: str, *, previous: bool, lines: int, most: int
    ) -> bytes:
        """The last lines of a container's log, cut after `most` bytes."""
        query = {"container": container, "tailLines": str(lines), "limitBytes": str(most)}
        if previous:
            query["previous"] = "true"
        where = path("get", "Pod/log", namespace, pod)
        timeout = min(LOG_SECONDS, self.deadline.remaining())
        with self._open("GET", where, timeout, query) as response:
            return response.read(most)

    def apply(self, manifest: Object) -> Object:
        """Server-side apply under the one field manager; conflicts are taken over."""
        meta = manifest["metadata"]
        return self.request(
            "PATCH",
            path("patch", manifest["kind"], meta.get("namespace"), meta["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    def create(self, manifest: Object) -> bool:
        """Create an object. False if one of its name is there: of two at once, one does it."""
        meta = manifest["metadata"]
        try:
            self.request(
                "POST",
                path("create", manifest["kind"], meta.get("namespace")),
                query={"fieldManager": FIELD_MANAGER},
                body=manifest,
            )
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return False
            raise
        return True

    def replace(self, manifest: Object) -> None:
        """Put an object in the place of the one with the same `resourceVersion`."""
        meta = manifest["metadata"]
        self.request(
            "PUT",
            path("update", manifest["kind"], meta.get("namespace"), meta["name"]),
            query={"fieldManager": FIELD_MANAGER},
            body=manifest,
        )

    def touch(self, kind: str, namespace: str, name: str, mark: str) -> None:
        """Set an annotation of an object that is there to the time, so that who watches it looks
        again."""
        now = datetime.now(UTC).isoformat()
        self.request(
            "PATCH",
            path("patch", kind, namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body={"metadata": {"annotations": {mark: now}}},
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, namespace: str | None, name: str) -> bool:
        """Delete in the background. False if it was not there."""
        try:
            self.request(
                "DELETE",
                path("delete", kind, namespace, name),
                body={"propagationPolicy": "Background"},
            )
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True

    def watch(
        self, kind: str, namespace: str, selector: str, deadline: Deadline
    ) -> Iterator[Object]:
        """Each event of a watch that starts with what is there now, until about the deadline."""
        seconds = max(1, int(deadline.remaining()))
        query = {"watch": "true", "labelSelector": selector, "timeoutSeconds": str(seconds)}
        # The server ends a quiet watch itself; a little longer only catches one that does not.
        with self._open("GET", path("watch", kind, namespace), seconds + 5.0, query) as response:
            while line := response.readline(_MOST_BYTES):
                event = _object(line)
                if event["type"] == "ERROR":
                    status = event["object"]
                    raise ApiError(
                        status.get("code", 500), status.get("reason", ""), status.get("message", "")
                    )
                yield event

    def may(self, verb: str, group: str, resource: str, namespace: str | None = None) -> bool:
        """Whether the API lets this person do so; anyone may ask that of themselves.

        `resource` is RBAC's name, such as `pods` or `pods/exec`.
        """
        plural, _, subresource = resource.partition("/")
        asked = {"verb": verb, "group": group, "resource": plural, "subresource": subresource}
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked | {"namespace": namespace or ""}},
        }
        answer = self.request(
            "POST", "apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review
        )
        return bool(answer["status"]["allowed"])

    # ---- streams into pods

    def exec(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> Stream:
        """Run a command in a container, its standard input and outputs on the stream."""
        query = [("container", container), ("stdin", "1"), ("stdout", "1"), ("stderr", "1")]
        query += [("command", word) for word in command]
        return self._stream(path("get", "Pod/exec", namespace, pod), query)

    def forward(self, namespace: str, pod: str, port: int) -> Stream:
        """A connection to a port of a pod, whatever address it listens on."""
        where = path("get", "Pod/portforward", namespace, pod)
        return self._stream(where, [("ports", str(port))])

    def _stream(self, where: str, query: Sequence[tuple[str, str]]) -> Stream:
        import websocket

        timeout = min(REQUEST_SECONDS, self.deadline.remaining())
        connection = websocket.WebSocket()
        try:
            connection.connect(  # type: ignore[no-untyped-call]
                f"ws://localhost/{where}?{urlencode(query)}",
                socket=self._connect(timeout),
                subprotocols=[_PROTOCOL],
                suppress_origin=True,
            )
        except websocket.WebSocketBadStatusException as error:
            body = error.resp_body or b""
            form = (error.resp_headers or {}).get("content-type", "")
            raise self._refusal(error.status_code, form, body) from error
        except (TimeoutError, websocket.WebSocketTimeoutException) as error:
            self.deadline.remaining()
            raise Failure(
                finding("api-slow", f"a stream to a pod did not open within {timeout:g} s")
            ) from error
        except (OSError, websocket.WebSocketException) as error:
            raise Failure(
                finding("cluster-unreachable", f"a stream to a pod did not open: {error!r:.200}")
            ) from error
        return Stream(connection)


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


def _object(data: bytes) -> Object:
    """An object or event of the API. Raises ValueError for what is none."""
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{data[:80]!r}") from error
    if not isinstance(answer, dict) or not _MARKS & answer.keys():
        raise ValueError(f"{data[:80]!r}")
    return answer


class Stream:
    """A WebSocket of the API's channel protocol: a message's first byte is its channel."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def send(self, channel: int, data: bytes) -> None:
        """Raises OSError once the other side has closed."""
        import websocket

        try:
            self._connection.send_binary(bytes((channel,)) + data)
        except websocket.WebSocketException as error:
            raise ConnectionError(str(error)) from error

    def receive(self, timeout: float) -> tuple[int, bytes] | None:
        """The next message that is not empty, or None at the end. Raises TimeoutError."""
        import websocket

        self._connection.settimeout(timeout)
        while True:
            try:
                message = self._connection.recv()
            except websocket.WebSocketTimeoutException as error:
                raise TimeoutError from error
            except (OSError, websocket.WebSocketException):
                return None
            if not message:
                if not self._connection.connected:
                    return None
                continue
            if isinstance(message, str):
                message = message.encode()
            if len(message) > 1:
                return message[0], message[1:]

    def close(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.shutdown()
