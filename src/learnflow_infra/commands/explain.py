"""`explain`: what a setting is for, what it may be and what it is by default."""

from __future__ import annotations

from learnflow_infra.commands import Request
from learnflow_infra.findings.failures import Failure, finding
from learnflow_infra.report import Report
from learnflow_infra.services import registry
from learnflow_infra.settings import every_section, reference


def explain(request: Request) -> Report:
    """No settings file is read: it may be what is wrong. Raises Failure(usage)."""
    path = request.options["setting"] or ""
    sections = every_section(registry.sections(None))
    lines = reference.explained(sections, path)
    if not lines:
        message = f"{path}: no such setting; there are services, {', '.join(sections)}"
        raise Failure(finding("usage", message))
    return Report("explain", lines=lines, details={"lines": lines})
