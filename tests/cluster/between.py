"""A server between the command and the API server: it notes what is asked, and may misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import ssl
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from learnflow_infra.cluster.local import layout
from learnflow_infra.host.x509 import LOCALHOST, Authority

_PATH = re.compile(
    r"^/(?:api/(?P<v>[^/]+)|apis/(?P<group>[^/]+)/[^/]+)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?$"
)
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, order=True)
class Asked:
    """A request as RBAC sees it."""

    verb: str
    group: str
    resource: str
    namespace: str

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}"


def asked(method: str, target: str) -> Asked | None:
    """What a request asks, None for what is no resource, such as discovery.

    https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
    """
    parts = urlsplit(target)
    match = _PATH.match(parts.path)
    if match is None:
        return None
    found = match.groupdict(default="")
    if method == "GET":
        watches = parse_qs(parts.query).get("watch") == ["true"]
        verb = "watch" if watches else "get" if found["name"] else "list"
    else:
        verb = _VERBS[method]
    resource = found["plural"] + (f"/{found['subresource']}" if found["subresource"] else "")
    # A namespace is judged as lying in itself.
    namespace = found["name"] if resource == "namespaces" else found["namespace"]
    return Asked(verb, found["group"], resource, namespace)


@dataclass
class Meeting:
    """A request that meets a fault."""

    client: StreamWriter
    gone: Callable[[], Awaitable[bytes]]
    """Ends when the client gives up."""
    answer: Callable[[], Awaitable[bytes]]
    """The API server's own answer, whole."""


Fault = Callable[[Meeting], Awaitable[None]]


class Between:
    """Listens on loopback, with a certificate of an authority of its own. A context manager.

    `faults` says what becomes of a request in place of its answer; the others are passed on.
    """

    def __init__(
        self, folder: Path, faults: Callable[[Asked | None], Fault | None] = lambda _: None
    ) -> None:
        self._faults = faults
        self.asked: list[Asked] = []
        """What was passed on."""
        self.used: list[Asked] = []
        """The same with the right to create where something was applied that was not there."""
        self.hit = 0
        authority = Authority.new("between", 1)
        pair = authority.issue("between", 1, alternatives=[LOCALHOST], client=False)
        self.authority, own = (folder / f"between-{id(self)}{end}" for end in ("-ca.crt", ".pem"))
        self.authority.write_text(authority.pair.certificate)
        own.write_text(pair.certificate + pair.key)
        self._identity = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._identity.load_cert_chain(own)
        self._trust = ssl.create_default_context(cafile=str(layout.PKI / "ca.crt"))
        self._listens = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.url = ""

    def __enter__(self) -> Between:
        self._thread.start()
        assert self._listens.wait(10)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._loop.close()

    async def _run(self) -> None:
        self._clients: list[StreamWriter] = []
        self._over = asyncio.Event()
        server = await asyncio.start_server(self._serve, LOCALHOST, 0, ssl=self._identity)
        self.url = f"https://{LOCALHOST}:{server.sockets[0].getsockname()[1]}"
        self._listens.set()
        await self._over.wait()
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        for client in self._clients:  # one that was killed never answers the end of TLS
            client.transport.abort()
        for _ in range(3):  # for what was aborted to be closed
            await asyncio.sleep(0)

    async def _serve(self, reader: StreamReader, client: StreamWriter) -> None:
        """One request a connection."""
        self._clients.append(client)
        try:
            await self._answer(reader, client)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            client.close()

    async def _answer(self, reader: StreamReader, client: StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        method, target, _ = lines[0].split(" ")
        headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        what = asked(method, target)
        if "upgrade" not in headers:
            lines = [line for line in lines if not line.lower().startswith("connection:")]
            lines.append("Connection: close")
        request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        if fault := self._faults(what):
            self.hit += 1
            await fault(Meeting(client, lambda: reader.read(1), lambda: self._whole(request)))
            return
        answers, server = await self._upstream(request)
        try:
            first = await answers.read(65536)
            if what:
                self.asked.append(what)
                self.used.append(what)
                if what.verb == "patch" and first.split(b" ", 2)[1] == b"201":
                    self.used.append(replace(what, verb="create"))
            client.write(first)
            await asyncio.gather(_carry(answers, client), _carry(reader, server))
        finally:
            server.transport.abort()

    async def _whole(self, request: bytes) -> bytes:
        answers, server = await self._upstream(request)
        try:
            return await answers.read()
        finally:
            server.transport.abort()

    async def _upstream(self, request: bytes) -> tuple[StreamReader, StreamWriter]:
        parts = urlsplit(layout.API_SERVER)
        reader, writer = await asyncio.open_connection(
            parts.hostname, parts.port, ssl=self._trust, limit=2**24
        )
        writer.write(request)
        return reader, writer


async def _carry(source: StreamReader, sink: StreamWriter) -> None:
    """TLS has no half-closed connections: the end of either side is the end of both."""
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    sink.close()


# ---- faults


async def reset(meeting: Meeting) -> None:
    meeting.client.transport.abort()


async def hang(meeting: Meeting) -> None:
    """No answer until the client gives up."""
    await meeting.gone()


async def dribble(meeting: Meeting) -> None:
    """The right answer, a byte every now and then."""
    for byte in await meeting.answer():
        meeting.client.write(bytes((byte,)))
        await meeting.client.drain()
        await asyncio.sleep(0.05)


async def slow(meeting: Meeting) -> None:
    """The right answer, late."""
    await asyncio.sleep(0.5)
    meeting.client.write(await meeting.answer())
    await meeting.client.drain()


async def truncated(meeting: Meeting) -> None:
    """The right answer's first half."""
    head, body = (await meeting.answer()).split(b"\r\n\r\n", 1)
    meeting.client.write(head + b"\r\n\r\n" + body[: len(body) // 2])
    await meeting.client.drain()


def says(status: int, body: str, kind: str = "text/html") -> Fault:
    async def fault(meeting: Meeting) -> None:
        reason = http.client.responses[status]
        head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\n"
        head += f"Content-Length: {len(body.encode())}\r\nConnection: close\r\n\r\n"
        meeting.client.write(head.encode() + body.encode())
        await meeting.client.drain()

    return fault


def status(code: int, reason: str, message: str) -> Fault:
    """A refusal in the API's own form."""
    body: dict[str, object] = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    body |= {"metadata": {}, "message": message, "reason": reason, "code": code}
    return says(code, json.dumps(body), "application/json")
