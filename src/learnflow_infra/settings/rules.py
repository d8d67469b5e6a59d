"""The rules that a setting's value keeps, and their application to a TOML table.

A section is a dataclass: each field's default is the setting's default, its metadata the rule and
what the setting is for, by the words of which `reference` tells of it.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import field
from typing import Any

# A rule of text: the pattern of the whole, and what it means in words.
Rule = tuple[str, str]

DNS_LABEL: Rule = (r"[a-z]([-a-z0-9]{0,51}[a-z0-9])?", "a DNS label such as learnflow")
SIZE: Rule = (r"[1-9][0-9]*(Mi|Gi)", "a size such as 512Mi or 2Gi")
MEMORY: Rule = (r"([1-9][0-9]*(Mi|Gi))?", "a size such as 512Mi or 2Gi, or empty")
CPU: Rule = (r"([1-9][0-9]*m?)?", "CPUs such as 250m or 1, or empty")
IMAGE: Rule = (
    r"[a-z0-9][a-z0-9._/:-]*[:@][A-Za-z0-9._:-]+",
    "an image with its tag or digest, such as postgres:17.12",
)
STORAGE_CLASS: Rule = (
    r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?",
    "a StorageClass, or empty for the default",
)
LABEL: Rule = (
    r"(([a-z0-9.-]+/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
    r"=([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?)?",
    "a label such as app=web, or empty",
)
CONTEXT: Rule = (r"[^\x00-\x1f]{0,253}", "a context of your kubeconfig, or empty")

# How alike a name must be to be meant, of 1.
_NEAR = 0.75
_KEY = r"[A-Za-z0-9._-]{1,200}"
_KINDS = {bool: "true or false", int: "a whole number", str: "a string"}


def text(default: str, rule: Rule, doc: str = "") -> Any:
    """A setting of text that keeps a rule."""
    return field(default=default, metadata={"pattern": rule[0], "means": rule[1], "doc": doc})


def choice(default: Any, *values: Any, doc: str = "") -> Any:
    """A setting that is one of a few values."""
    return field(default=default, metadata={"values": (default, *values), "doc": doc})


def number(default: int, least: int, most: int, doc: str = "") -> Any:
    """A setting that is a whole number between two."""
    return field(default=default, metadata={"least": least, "most": most, "doc": doc})


def flag(default: bool, doc: str = "") -> Any:
    """A setting that is true or false."""
    return field(default=default, metadata={"doc": doc})


def required(rule: Rule, doc: str = "") -> Any:
    """A setting of text without a default."""
    meta = {"pattern": rule[0], "means": rule[1], "required": True, "doc": doc}
    return field(default="", metadata=meta)


def texts(rule: Rule, *default: str, doc: str = "") -> Any:
    """A setting that is an array of texts, each of which keeps a rule."""
    return field(default=default, metadata={"each": text("", rule), "doc": doc})


def tables(kind: type, *default: Any, doc: str = "") -> Any:
    """A setting that is an array of tables, each of which is such a section."""
    return field(default=default, metadata={"each": field(default=kind), "doc": doc})


def configuration(doc: str = "") -> Any:
    """A setting that is a table of another program's own settings, as sorted pairs of texts: of
    tables in it the names are joined by dots, and whether they are right is that program's to say.
    """
    return field(default=(), metadata={"configuration": True, "doc": doc})


def section(kind: type, table: object, where: str) -> Any:
    """A section from its table. Raises ValueError that says which setting, what is wrong and what
    would be right; `where` is the section's own name."""
    if not isinstance(table, dict):
        raise ValueError(f"{where}: must be a table")
    fields = {each.name: each for each in dataclasses.fields(kind)}
    require_known(table, fields, f"{where}.")
    values = {key: _value(fields[key], value, f"{where}.{key}") for key, value in table.items()}
    for name, rule in fields.items():
        if rule.metadata.get("required") and name not in values:
            raise ValueError(f"{where}.{name}: is missing")
    return kind(**values)


def require_known(table: Mapping[str, object], names: Mapping[str, object], where: str) -> None:
    """Raises ValueError for a key of a table that is none of the names."""
    for key in table:
        if key not in names:
            close = difflib.get_close_matches(key, names, 1, _NEAR)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ValueError(f"{where}{key}: no such setting; {hint}There are {', '.join(names)}")


def _value(rule: dataclasses.Field[Any], value: object, where: str) -> Any:
    default = rule.default
    if "configuration" in rule.metadata:
        return tuple(sorted(_pairs(value, where).items()))
    if isinstance(default, type):
        return section(default, value, where)
    if isinstance(default, tuple):
        if not isinstance(value, list):
            raise ValueError(f"{where}: must be an array")
        each = rule.metadata["each"]
        return tuple(_value(each, item, f"{where}[{n}]") for n, item in enumerate(value))
    if type(value) is not type(default):
        right = _KINDS[type(default)]
        raise ValueError(f"{where}: must be {right}, not {value!r:.60}")
    meta = rule.metadata
    if "values" in meta and value not in meta["values"]:
        allowed = " or ".join(str(each) for each in meta["values"])
        raise ValueError(f"{where}: must be {allowed}, not {value!r:.60}")
    if "pattern" in meta and not re.fullmatch(meta["pattern"], str(value)):
        raise ValueError(f"{where}: must be {meta['means']}, not {value!r:.60}")
    if "least" in meta and not meta["least"] <= int(str(value)) <= meta["most"]:
        raise ValueError(f"{where}: must be {meta['least']} to {meta['most']}, not {value!r:.60}")
    return value


def _pairs(value: object, where: str) -> dict[str, str]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: must be a table")
    found: dict[str, str] = {}
    for key, each in value.items():
        if not re.fullmatch(_KEY, key):
            raise ValueError(f"{where}: must have names of letters, digits, . _ -, not {key!r:.60}")
        if isinstance(each, dict):
            pairs = {f"{key}.{name}": text for name, text in _pairs(each, f"{where}.{key}").items()}
        else:
            pairs = {key: _text(each, f"{where}.{key}")}
        if twice := pairs.keys() & found.keys():
            raise ValueError(f"{where}.{min(twice)}: is there twice")
        found |= pairs
    return found


def _text(value: object, where: str) -> str:
    """A value as configuration files have it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float) or (isinstance(value, str) and value.isprintable()):
        return str(value)
    raise ValueError(f"{where}: must be a text, a number, or true or false, not {value!r:.60}")
