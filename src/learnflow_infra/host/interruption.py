"""An interrupted command is over at once: so is every deadline, and no process starts any more."""

from __future__ import annotations

import threading

from learnflow_infra.findings.failures import Failure, finding

begun = threading.Event()


def failure() -> Failure:
    """What ends each step of an interrupted command."""
    return Failure(finding("interrupted", "stopped before the end"))
