"""One real question to the cluster's DNS: the address of the API server's own Service."""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time

from learnflow_infra.cluster.local import layout, lock
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.host.deadline import Deadline

_NAME = "kubernetes.default.svc.cluster.local"
_PORT = 53
_POLL_SECONDS = 0.02
# Each try is a new socket, as one that came too early never heals, and waits longer than the last:
# on a busy machine an answer may be late.
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 5.0


def await_answer(deadline: Deadline) -> None:
    """Until DNS gives the right address. Raises Failure(local-cluster-start-failed) where the node
    ends meanwhile."""
    seconds = _FIRST_SECONDS
    while not deadline.passed():
        try:
            if _answers(seconds):
                return
        except TimeoutError:
            seconds = min(2 * seconds, _LONGEST_SECONDS)
        except OSError:  # not there yet
            pass
        if not lock.node_lives():
            message = f"the node ended; see {layout.LOGS / 'node.log'}"
            raise Failure(finding("local-cluster-start-failed", message))
        time.sleep(_POLL_SECONDS)
    log = layout.LOGS / "dns.log"
    raise deadline.failure(f"DNS at {layout.DNS_SERVICE} to know {_NAME}; see {log}")


def _answers(seconds: float) -> bool:
    identity = secrets.randbits(16)
    name = b"".join(bytes([len(part)]) + part.encode() for part in _NAME.split("."))
    query = struct.pack(">6H", identity, 0x0100, 1, 0, 0, 0) + name + b"\0" + b"\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asker:
        asker.settimeout(seconds)
        asker.connect((layout.DNS_SERVICE, _PORT))
        asker.send(query)
        answer = asker.recv(512)
    # One answer with one A record has its address last.
    expected = ipaddress.ip_address(layout.API_SERVICE).packed
    return answer[:2] == struct.pack(">H", identity) and expected in answer
