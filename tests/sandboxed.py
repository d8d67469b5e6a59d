"""Whether this process runs in `tests/sandbox`, out of reach of the machine's own cluster."""

from __future__ import annotations

from pathlib import Path

REFUSAL = (
    "tests on a real cluster would stop this machine's own; run them as"
    " `tests/sandbox .venv/bin/pytest`, or all of them by `make test`"
)


def sandboxed(mounts: Path = Path("/proc/self/mounts")) -> bool:
    """Whether /run is the one that the sandbox mounted, which its source names."""
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return False
    return any(line.split()[:3] == ["sandbox", "/run", "tmpfs"] for line in lines)
