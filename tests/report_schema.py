"""What --json prints, held against its documented schema."""

from __future__ import annotations

import json
from typing import Any

import jsonschema

from learnflow_infra.host import paths

SCHEMA = json.loads((paths.shipped("learnflow-app").parent / "docs/report.schema.json").read_text())


def valid(text: str) -> dict[str, Any]:
    """The report that a command printed. Raises where it is not as the schema says."""
    body: dict[str, Any] = json.loads(text)
    jsonschema.validate(body, SCHEMA)
    return body
