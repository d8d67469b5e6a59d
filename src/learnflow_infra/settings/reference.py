"""What settings there are, told from the one table of them: as a commented infra.toml, as a JSON
schema for editors, and one by one."""

from __future__ import annotations

import dataclasses
import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field
from typing import Any

from learnflow_infra.settings import SERVICES_DOC
from learnflow_infra.settings.service import ServiceSettings

Sections = Mapping[str, type]

SCHEMA_NAME = "infra.schema.json"
_WIDTH = 100
_NAMES = {str: "string", int: "integer", bool: "boolean"}


def to_toml(sections: Sections, services: Sequence[str]) -> str:
    """A settings file in which every setting stands with its default; editors that know Taplo's
    directive find the schema beside it."""
    lines = [
        f"#:schema ./{SCHEMA_NAME}",
        "# The settings of this scope. Every one stands here with its default; `learnflow-infra",
        "# explain SETTING` says more of each.",
        "",
        *_comment(SERVICES_DOC),
        f"services = {_literal(tuple(services))}",
    ]
    for name, kind in sections.items():
        lines += ["", f"[{name}]", *_settings(name, kind)]
    return "\n".join(lines) + "\n"


def _settings(where: str, kind: type) -> Iterator[str]:
    whole = dataclasses.fields(kind)
    # TOML takes arrays of tables for the last of their section.
    last = [each for each in whole if _is_tables(each) and each.default]
    for each in whole:
        if each not in last:
            yield from _comment(_doc(kind, each))
            yield f"{each.name} = {_literal(each.default, each)}"
    for each in last:
        for n, item in enumerate(each.default):  # type: ignore[arg-type]
            yield ""
            yield from _comment(each.metadata["doc"] if n == 0 else "")
            yield f"[[{where}.{each.name}]]"
            for own in dataclasses.fields(item):
                yield from _comment(own.metadata.get("doc", ""))
                yield f"{own.name} = {_literal(getattr(item, own.name), own)}"


def _doc(kind: type, rule: Field[Any]) -> str:
    """What a setting is for; of what follows from the size, how much that is."""
    doc: str = rule.metadata.get("doc", "")
    if issubclass(kind, ServiceSettings) and rule.name in ("cpu", "memory"):
        which = ("cpu", "memory").index(rule.name)
        return f"{doc} {', '.join(f'{size} {each[which]}' for size, each in kind.sizes.items())}."
    return doc


def tables_of(kind: type) -> dict[str, type]:
    """The settings of a section that are arrays of tables, and what these are."""
    fields = dataclasses.fields(kind)
    return {each.name: each.metadata["each"].default for each in fields if _is_tables(each)}


def _is_tables(each: Field[Any]) -> bool:
    return "each" in each.metadata and isinstance(each.metadata["each"].default, type)


def _comment(doc: str) -> list[str]:
    wrapped = textwrap.wrap(doc, _WIDTH - 2, break_long_words=False, break_on_hyphens=False)
    return [f"# {line}" for line in wrapped]


def _literal(value: Any, rule: Field[Any] | None = None) -> str:
    """A value as TOML writes it."""
    if rule is not None and "configuration" in rule.metadata:
        return "{}"
    if isinstance(value, tuple):
        return f"[{', '.join(_literal(each) for each in value)}]"
    return json.dumps(value)


def schema(sections: Sections) -> dict[str, Any]:
    """A JSON schema (https://json-schema.org/draft/2020-12) of a settings file."""
    names = {"type": "array", "items": {"type": "string"}, "description": SERVICES_DOC}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "infra.toml",
        **_object(sections),
        "properties": {"services": names, **{n: _table(kind) for n, kind in sections.items()}},
        # A service of somebody else's has a section of its own.
        "additionalProperties": True,
    }


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": dict(properties), "additionalProperties": False}


def _table(kind: type) -> dict[str, Any]:
    fields = dataclasses.fields(kind)
    made = _object({each.name: _property(each) for each in fields})
    if required := [each.name for each in fields if each.metadata.get("required")]:
        made["required"] = required
    return made


def _property(rule: Field[Any]) -> dict[str, Any]:
    meta, default = rule.metadata, rule.default
    made: dict[str, Any] = {"description": doc} if (doc := meta.get("doc")) else {}
    if "configuration" in meta:
        return made | {"type": "object"}
    if "each" in meta:
        each = meta["each"]
        items = _table(each.default) if isinstance(each.default, type) else _property(each)
        return made | {"type": "array", "items": items}
    made["type"] = _NAMES[type(default)]
    if not meta.get("required"):
        made["default"] = default
    if "values" in meta:
        made["enum"] = list(meta["values"])
    if "pattern" in meta:
        made["pattern"] = f"^({meta['pattern']})$"
    if "least" in meta:
        made |= {"minimum": meta["least"], "maximum": meta["most"]}
    return made


def explained(sections: Sections, path: str) -> list[str]:
    """What a setting, a section or, without a path, all of it is; nothing for what there is not."""
    if not path:
        return [
            *_paragraph("services", SERVICES_DOC),
            *(
                f"{name}: {', '.join(f.name for f in dataclasses.fields(sections[name]))}"
                for name in sections
            ),
        ]
    if path == "services":
        return _paragraph("services", SERVICES_DOC)
    first, *rest = path.split(".")
    if (kind := sections.get(first)) is None:
        return []
    if not rest:
        return each_of(kind)
    holder, inner, found = kind, kind, None
    for n, name in enumerate(rest):
        found = next((each for each in dataclasses.fields(inner) if each.name == name), None)
        if found is None:
            return []
        holder = inner
        if _is_tables(found):
            inner = found.metadata["each"].default
        elif n + 1 < len(rest):
            return []
    assert found is not None
    within = each_of(inner) if inner is not holder else []
    return [*_one(path, found, holder), *(f"  {line}" for line in within)]


def each_of(kind: type) -> list[str]:
    """What each setting of a section, or of a table in one, is."""
    return [line for each in dataclasses.fields(kind) for line in _one(each.name, each, kind)]


def _one(name: str, rule: Field[Any], kind: type) -> list[str]:
    meta = rule.metadata
    if meta.get("required"):
        value = "required"
    elif _is_tables(rule):
        value = "an array of tables"
    else:
        value = f"default {_literal(rule.default, rule)}"
    limits = ""
    if "values" in meta:
        limits = f", one of {', '.join(_literal(each) for each in meta['values'])}"
    elif "least" in meta:
        limits = f", {meta['least']} to {meta['most']}"
    elif "means" in meta:
        limits = f", {meta['means']}"
    elif "each" in meta and not _is_tables(rule):
        limits = f", of each: {meta['each'].metadata['means']}"
    return _paragraph(name, f"{value}{limits}. {_doc(kind, rule)}".strip())


def _paragraph(name: str, words: str) -> list[str]:
    return textwrap.wrap(f"{name}: {words}", _WIDTH, subsequent_indent="  ", break_long_words=False)
