"""An object of the API, and accessors that never raise: nothing is taken to be well-formed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

Object = dict[str, Any]


def at(value: Any, *keys: str) -> Any:
    """What lies under the keys; None where there is nothing."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def objects(value: Any) -> Iterator[Object]:
    """The objects of a list; none where it is no list."""
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes, dict)):
        yield from (each for each in value if isinstance(each, dict))


def mapping(value: Any) -> Object:
    """What has keys; empty where it has none."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str:
    """A string; empty where it is none."""
    return value if isinstance(value, str) else ""


def number(value: Any) -> int:
    """A whole number; 0 where it is none."""
    return value if isinstance(value, int) else 0


def name_of(item: Object) -> str:
    return text(at(item, "metadata", "name"))


def uid_of(item: Object) -> str:
    return text(at(item, "metadata", "uid"))


def created(item: Object) -> float:
    """When the API server made it, in seconds of the epoch; 0 where it does not say."""
    stamp = text(at(item, "metadata", "creationTimestamp"))
    return datetime.fromisoformat(stamp).timestamp() if stamp else 0.0


def controller(item: Object) -> str:
    """The uid of the owner that controls an object; empty if none does."""
    owners = objects(at(item, "metadata", "ownerReferences"))
    return next((text(each.get("uid")) for each in owners if each.get("controller")), "")


def condition(item: Object, kind: str) -> str:
    """The status of a condition: `True`, `False` or `Unknown`; empty where it is not there."""
    conditions = objects(at(item, "status", "conditions"))
    return next((text(each.get("status")) for each in conditions if each.get("type") == kind), "")


def by_name(items: Iterable[Object]) -> dict[str, Object]:
    return {name_of(each): each for each in objects(items)}


def satisfied(desired: Any, live: Any) -> bool:
    """Whether everything desired is there; what others added does not matter."""
    if isinstance(desired, dict):
        return isinstance(live, dict) and all(
            key in live and satisfied(value, live[key]) for key, value in desired.items()
        )
    if isinstance(desired, list) and isinstance(live, list):
        if all(isinstance(each, dict) for each in desired):
            return all(any(satisfied(one, other) for other in live) for one in desired)
        return desired == live
    return bool(desired == live)
