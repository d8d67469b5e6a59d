"""A file of java.util.Properties, as Java's clients read it."""

from __future__ import annotations

from collections.abc import Mapping


def lines(values: Mapping[str, str]) -> str:
    """One line a property, each with its line break."""
    return "".join(f"{key}={_escaped(value)}\n" for key, value in values.items())


def _escaped(text: str) -> str:
    """A value that stays one, read as Latin-1."""
    line = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    units = line.encode("utf-16-be")
    codes = [int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2)]
    return "".join(chr(each) if 0x20 <= each < 0x7F else f"\\u{each:04x}" for each in codes)
