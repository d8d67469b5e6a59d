"""What a proof says of one service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from learnflow_infra.findings.failures import Finding


@dataclass
class Verdict:
    """What is known of one service at the end."""

    name: str
    ready: int = 0
    total: int = 0
    seconds: float = 0.0
    endpoint: str = ""
    image: str = ""
    """`official` or `compatible`; empty where no pod says."""
    findings: Sequence[Finding] = ()
    changed: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.findings
