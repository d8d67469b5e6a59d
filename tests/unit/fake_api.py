"""A stand-in for the Kubernetes API: requests over the socket of a stand-in kubectl."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any, NamedTuple

from learnflow_infra.host.deadline import Deadline
from learnflow_infra.kubernetes.client import Kube

# `version`, `config view` of a file beside the socket, and `proxy --context=… --unix-socket=…`,
# whose socket is the stand-in's own.
_KUBECTL = """\
#!/bin/sh
[ "$1" != config ] || exec cat '{socket}.config'
[ "$1" = proxy ] || exec echo '{{"clientVersion": {{"gitVersion": "v1.34.4"}}}}'
for word; do
    case $word in --unix-socket=*) ln -s '{socket}' "${{word#*=}}" ;; esac
done
exec sleep 600
"""


class Answer(NamedTuple):
    status: int
    body: str
    form: str = "application/json"


def status(code: int, reason: str, message: str = "said so") -> Answer:
    """A refusal, as the API server words it."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return Answer(code, json.dumps(body))


def listed(*items: Any) -> Answer:
    return Answer(200, json.dumps({"kind": "List", "items": items}))


Respond = Callable[[str, str], Answer | None]
"""From a method and a target to the answer; None is none, until the client gives up."""


class _Server(ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False


@contextmanager
def serving(folder: Path, respond: Respond) -> Iterator[tuple[str, ...]]:
    """The kubectl by which the stand-in is reached."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            answer = respond(self.command, self.path)
            if answer is None:
                over.wait(60)
                return
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.form)
            data = answer.body.encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer

        def log_message(self, *_: object) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    socket = folder / "server"
    kubectl = folder / "kubectl"
    kubectl.write_text(_KUBECTL.format(socket=socket))
    kubectl.chmod(0o755)
    with _Server(str(socket), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield (str(kubectl),)
        finally:
            over.set()
            server.shutdown()
            thread.join()


@contextmanager
def kube(folder: Path, respond: Respond, seconds: float = 30) -> Iterator[Kube]:
    with (
        serving(folder, respond) as kubectl,
        Kube(kubectl, "somewhere", Deadline(seconds)) as client,
    ):
        yield client
