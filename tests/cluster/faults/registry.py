"""A container registry on loopback that refuses in the ways that registries do.

The first part of an image's name says how. Run as a program it prints its port.
"""

from __future__ import annotations

import hashlib
import http.server
import json
import threading

LAYER = bytes(8 << 20)


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def described(kind: str, content: bytes) -> dict[str, object]:
    media = f"application/vnd.oci.image.{kind}"
    return {"mediaType": media, "digest": digest(content), "size": len(content)}


CONFIG = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
MANIFEST = json.dumps(
    {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("config.v1+json", CONFIG),
        "layers": [described("layer.v1.tar", LAYER)],
    }
).encode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = self.path.split("/")
        kind = parts[2] if len(parts) > 2 else ""
        if kind == "hanging":
            threading.Event().wait()
        if kind == "large":
            self._serve_image()
            return
        status, code = {
            "absent": (404, "MANIFEST_UNKNOWN"),
            "denied": (401, "UNAUTHORIZED"),
            "forbidden": (403, "DENIED"),
            "limited": (429, "TOOMANYREQUESTS"),
            "broken": (500, "UNKNOWN"),
            "teapot": (418, "TEAPOT"),
        }.get(kind, (200, ""))
        body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="registry"')
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET

    def _serve_image(self) -> None:
        """An image of one large layer."""
        blobs = {digest(each): each for each in (CONFIG, LAYER)}
        body = blobs.get(self.path.rpartition("/")[2], MANIFEST)
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
        self.send_header("Docker-Content-Digest", digest(body))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
