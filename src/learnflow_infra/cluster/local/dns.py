"""One real question to the cluster's DNS: the address of the API server's own Service."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time

from learnflow_infra.cluster.local import layout
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline

_NAME = "kubernetes.default.svc.cluster.local"
_TRY_SECONDS = 0.1  # each try is a new socket, as one that came too early never heals
_ANSWER_SECONDS = 30.0


def await_answer(deadline: Deadline) -> None:
    """Until DNS gives the right address. Raises Failure(local-cluster-start-failed)."""
    limit = deadline.within(_ANSWER_SECONDS)
    while not _answers():
        if limit.passed():
            raise Failure(
                finding(
                    "local-cluster-start-failed",
                    f"DNS at {layout.DNS_SERVICE} does not know {_NAME}; "
                    f"see {layout.LOGS / 'dns.log'}",
                )
            )
        time.sleep(0.02)


def _answers() -> bool:
    identity = secrets.randbits(16)
    name = b"".join(bytes([len(part)]) + part.encode() for part in _NAME.split("."))
    query = struct.pack(">6H", identity, 0x0100, 1, 0, 0, 0) + name + b"\0" + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(_TRY_SECONDS)
        try:
            asker.connect((layout.DNS_SERVICE, 53))
            asker.send(query)
            answer = asker.recv(512)
        except OSError:
            return False
    # One answer with one A record has its address last.
    expected = ipaddress.ip_address(layout.API_SERVICE).packed
    return answer[:2] == struct.pack(">H", identity) and expected in answer
