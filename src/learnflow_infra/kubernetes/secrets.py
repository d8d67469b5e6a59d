"""A Secret's values, to and from the form that its data has."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any


def encoded(values: Mapping[str, str]) -> dict[str, str]:
    """Values in the form that a Secret's data has."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def decoded(secret: Mapping[str, Any]) -> dict[str, str]:
    """The values of a Secret; what is no text has replacement characters."""
    data: Mapping[str, str] = secret.get("data") or {}
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in data.items()}
