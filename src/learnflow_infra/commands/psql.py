"""`psql`: PostgreSQL's own, as the application logs in."""

from __future__ import annotations

from typing import NoReturn

from learnflow_infra.commands import Request, tool


def psql(request: Request) -> NoReturn:
    """Raises Failure."""
    tool.run(request, "postgres", "psql", request.options["rest"])
