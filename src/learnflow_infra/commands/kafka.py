"""`kafka TOOL`: Kafka's own tools, as the application logs in."""

from __future__ import annotations

from typing import NoReturn

from learnflow_infra.commands import Request, tool


def kafka(request: Request) -> NoReturn:
    """Raises Failure."""
    tool.run(request, "kafka", request.options["tool"], request.options["rest"])
