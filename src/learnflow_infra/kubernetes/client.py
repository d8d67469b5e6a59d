"""Requests to the Kubernetes API, through the user's own kubectl.

Errors are the API's own Status objects instead of text; exec and port-forward are WebSockets on the
same socket.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from urllib.parse import urlencode

from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes import errors, reaching, streams
from learnflow_infra.kubernetes.errors import ApiError
from learnflow_infra.kubernetes.objects import Object, at, number, objects, text
from learnflow_infra.kubernetes.process import KubectlProxy
from learnflow_infra.kubernetes.resources import path
from learnflow_infra.kubernetes.streams import Stream

FIELD_MANAGER = "learnflow-infra"
REQUEST_SECONDS = 15.0
LOG_SECONDS = 3.0  # the kubelet of a dead node does not answer

_MOST_BYTES = 2**28  # of one answer; a pod is a few thousand
_MOST_ERROR_BYTES = 2**16
_ABSENT = "NotFound"
_FORBIDDEN, _GONE = 403, 410
_DENIED = re.compile("denied (the )?request")  # a webhook's words, and a policy's
_MARKS = {"kind", "type", "gitVersion"}  # of an object, a watch's event, the server's version


class Kube:
    """One context of one kubeconfig. A context manager; its methods may be called from threads.

    `note` gets what the user is to read whole, such as what a credential plug-in asks.

    Raises ApiError where a request is refused; Failure where none would be answered
    (`cluster-unreachable`, `api-certificate-refused`, `identity-refused`, `proxy-failed`,
    `credential-plugin-missing`, `-failed`, `-terminal`), where the user may not
    make it (`permission-missing`) and where it takes too long (`api-slow`, `deadline-passed`).
    """

    def __init__(
        self,
        kubectl: Sequence[str],
        context: str,
        deadline: Deadline,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        deadline.remaining()
        self.context = context
        self.deadline = deadline
        self._proxy = KubectlProxy(kubectl, context, note)

    def __enter__(self) -> Kube:
        return self

    def __exit__(self, *exc: object) -> None:
        self._proxy.end()

    def require_alive(self) -> None:
        """Raise Failure(kubectl-failed) if kubectl's proxy has ended."""
        self._proxy.require_alive()

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
        connection.sock = self._proxy.connect(timeout, self.deadline)
        target = "/" + path + ("?" + urlencode(query) if query else "")
        data = None if body is None else json.dumps(body).encode()
        try:
            connection.request(method, target, data, {"Content-Type": content_type})
            response = connection.getresponse()
            if response.status >= 400:
                form = response.headers.get("content-type", "")
                answer = response.read(_MOST_ERROR_BYTES)
                raise self._refusal(response.status, form, answer)
            self._proxy.answered = True
            yield response
        except TimeoutError as error:
            raise self._slow(f"the API server's answer to {method} {path}", timeout) from error
        except (http.client.HTTPException, ConnectionError) as error:
            raise Failure(
                finding("cluster-unreachable", f"the API server's answer broke off: {error!r:.200}")
            ) from error
        except ValueError as error:
            raise errors.no_answer(self.context, f"to {method} {path}: {error}") from error
        finally:
            connection.close()

    # ---- objects

    def get(self, kind: str, namespace: str | None, name: str) -> Object | None:
        """One object, or None if there is none of that name."""
        try:
            return self.request("GET", path("get", kind, namespace, name))
        except ApiError as error:
            if error.reason == _ABSENT:
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
        answer = self.request("GET", where, query=given)
        if "items" not in answer:
            raise errors.no_answer(self.context, f"to GET {where}: a list without items")
        return list(objects(answer["items"]))

    def list_each(self, kinds: Sequence[str], namespace: str) -> dict[str, Sequence[Object]]:
        """A namespace's objects of several kinds, asked for at once, by kind."""
        with ThreadPoolExecutor(len(kinds)) as pool:
            found = pool.map(lambda kind: self.list(kind, namespace), kinds)
            return dict(zip(kinds, found, strict=True))

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

    def create(self, manifest: Object) -> Object | None:
        """Create an object. None if one of its name is there: of two at once, one does it."""
        meta = manifest["metadata"]
        try:
            return self.request(
                "POST",
                path("create", manifest["kind"], meta.get("namespace")),
                query={"fieldManager": FIELD_MANAGER},
                body=manifest,
            )
        except ApiError as error:
            if error.reason == "AlreadyExists":
                return None
            raise

    def replace(self, manifest: Object) -> None:
        """Put an object in the place of the one with the same `resourceVersion`."""
        meta = manifest["metadata"]
        self.request(
            "PUT",
            path("update", manifest["kind"], meta.get("namespace"), meta["name"]),
            query={"fieldManager": FIELD_MANAGER},
            body=manifest,
        )

    def annotate(self, kind: str, namespace: str, name: str, annotation: str) -> None:
        """Set an annotation to the present time, so that whatever watches the object looks again.

        Raises ApiError(404) where there is no such object.
        """
        now = datetime.now(UTC).isoformat()
        self.patch(kind, namespace, name, {"metadata": {"annotations": {annotation: now}}})

    def patch(self, kind: str, namespace: str, name: str, change: Object) -> None:
        """Merge a change into an object. Raises ApiError: 404 where there is none of the name, 409
        where the change names the `uid` of another."""
        self.request(
            "PATCH",
            path("patch", kind, namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=change,
            content_type="application/merge-patch+json",
        )

    def delete(self, kind: str, namespace: str | None, name: str, *, uid: str = "") -> bool:
        """Delete in the background, of a `uid` that alone. False if it was not there; raises
        ApiError(409) where it is another one."""
        body: Object = {"propagationPolicy": "Background"}
        if uid:
            body["preconditions"] = {"uid": uid}
        try:
            self.request("DELETE", path("delete", kind, namespace, name), body=body)
        except ApiError as error:
            if error.reason == _ABSENT:
                return False
            raise
        return True

    def watch(
        self, kind: str, namespace: str, selector: str, deadline: Deadline
    ) -> Iterator[Object]:
        """Each event of a watch that starts with what is there now, until about the deadline.

        It may end before: a server that no longer knows where it was says so.
        """
        seconds = max(1, int(deadline.remaining()))
        query = {"watch": "true", "labelSelector": selector, "timeoutSeconds": str(seconds)}
        # The server ends a quiet watch itself; a little longer only catches one that does not.
        with self._open("GET", path("watch", kind, namespace), seconds + 5.0, query) as response:
            while line := response.readline(_MOST_BYTES):
                event = _object(line)
                if not isinstance(event.get("object"), dict):
                    raise errors.no_answer(self.context, f"an event of {kind}: {line[:80]!r}")
                if event.get("type") == "ERROR":
                    status = event["object"]
                    if at(status, "code") == _GONE:
                        return
                    reason, message = text(at(status, "reason")), text(at(status, "message"))
                    raise ApiError(number(at(status, "code")), reason, message)
                yield event

    def may(self, verb: str, group: str, resource: str, namespace: str | None = None) -> bool:
        """Whether the API lets this user do so; any user may ask that of itself.

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
        return at(answer, "status", "allowed") is True

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
        timeout = min(REQUEST_SECONDS, self.deadline.remaining())
        connection = self._proxy.connect(timeout, self.deadline)
        try:
            return streams.opened(connection, f"{where}?{urlencode(query)}", self._refusal)
        except ApiError as error:
            reason = f"a stream to a pod: {error.message}"
            if "failed calling webhook" in error.message:
                raise Failure(finding("webhook-failing", reason)) from error
            if error.code == _FORBIDDEN or _DENIED.search(error.message):
                raise Failure(finding("stream-refused", reason)) from error
            raise
        except TimeoutError as error:
            raise self._slow("a stream to a pod", timeout) from error

    def _slow(self, what: str, seconds: float) -> Failure:
        if self.deadline.passed():
            return self.deadline.failure(what)
        message = f"{what} did not come within {seconds:g} s"
        if not self._proxy.answered and (proxy := reaching.through_proxy(self._proxy.entry)):
            message += f" ({proxy})"
        return Failure(finding("api-slow", message))

    def _refusal(self, status: int, form: str, body: bytes) -> Failure:
        failure = errors.refusal(self.context, status, form, body)
        if isinstance(failure, errors.NotReached):
            return self._proxy.explained(failure)
        self._proxy.answered = True
        return failure


def _object(data: bytes) -> Object:
    """An object or event of the API. Raises ValueError for what is none."""
    try:
        answer = json.loads(data)
    except ValueError as error:
        raise ValueError(f"{data[:80]!r}") from error
    if not isinstance(answer, dict) or not _MARKS & answer.keys():
        raise ValueError(f"{data[:80]!r}")
    return answer
