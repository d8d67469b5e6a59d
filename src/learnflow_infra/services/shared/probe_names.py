"""The names of what a proof makes for a moment. They say when it was made, so that a later proof
removes what one that was killed left behind."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Iterable

# Far longer than any proof, and than the clocks of two machines differ.
_SECONDS = 3600


def name(prefix: str) -> str:
    """A name that nothing else has: the seconds since 1970, and 64 random bits."""
    return f"{prefix}{int(time.time()):08x}{secrets.token_hex(8)}"


def stale(prefix: str, names: Iterable[str]) -> list[str]:
    """Those that `name` made of the prefix, an hour ago or more."""
    until = time.time() - _SECONDS
    ours = re.compile(re.escape(prefix) + r"([0-9a-f]{8})[0-9a-f]{16}")
    found = [match for each in names if (match := ours.fullmatch(each))]
    return [match[0] for match in found if int(match[1], 16) < until]
