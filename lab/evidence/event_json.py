"""Events as JSON objects: the lines of events.jsonl. Reading is strict."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import MISSING, asdict, fields
from functools import partial
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lab.evidence.endpoint import Endpoint
from lab.evidence.events import KINDS, Event, Measured
from lab.link.errors import ImpairmentError
from lab.link.settings import LinkSettings
from lab.link.verification import Check


def to_json(event: Event) -> dict[str, Any]:
    """The event as a JSON object. A field that has its default value is left out."""
    stated = [f.name for f in fields(event) if getattr(event, f.name) != f.default]
    shown = {name: _to_json(getattr(event, name)) for name in stated}
    return {"at": shown.pop("at"), "node": shown.pop("node"), "kind": event.kind} | shown


def from_json(value: object) -> Event:
    """The inverse of ``to_json``. Raises ValueError, with a message of one line, for any other value."""
    if not isinstance(value, dict):
        raise ValueError("an event is a JSON object")
    kind = value.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"unknown kind of event: {kind!r}")
    return build(KINDS[kind], {name: entry for name, entry in value.items() if name != "kind"})


def build(event: type[Event], values: Mapping[str, object]) -> Event:
    """An event of one kind from its fields in JSON. Raises ValueError."""
    readers = _READERS[event.kind]
    if missing := _REQUIRED[event.kind] - values.keys():
        raise ValueError(f"{event.kind} event: {min(missing)} is missing")
    if unknown := values.keys() - readers.keys():
        raise ValueError(f"{event.kind} event: no field {min(unknown)!r}")
    try:
        return event(**{name: readers[name](entry) for name, entry in values.items()})
    except (ValueError, ImpairmentError) as error:
        raise ValueError(f"{event.kind} event: {error}") from None


def _to_json(value: Any) -> Any:
    if isinstance(value, Endpoint):
        return str(value)
    if isinstance(value, LinkSettings):
        return value.as_json()
    if isinstance(value, dict):
        return {name: _to_json(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [_to_json(entry) for entry in value]
    return asdict(value) if isinstance(value, Check) else value


def _reader(hint: Any) -> Callable[[object], Any]:
    """The function that checks a JSON value for a field of the type ``hint``. It raises ValueError."""
    if hint is Endpoint:
        return lambda value: Endpoint.parse(_checked(value, str))
    if hint is LinkSettings:
        return LinkSettings.from_json
    if hint == Measured:
        return _measured
    if get_origin(hint) is Literal:
        return partial(_choice, choices=get_args(hint))
    if isinstance(hint, UnionType):  # with None
        reader = _reader(get_args(hint)[0])
        return lambda value: None if value is None else reader(value)
    return partial(_checked, wanted=get_origin(hint) or hint)


def _measured(value: object) -> Measured:
    try:
        return {way: [Check(**check) for check in checks] for way, checks in _checked(value, dict).items()}
    except TypeError:
        raise ValueError("no measurement") from None


def _choice(value: object, choices: tuple[str, ...]) -> object:
    if value not in choices:
        raise ValueError(f"unknown value {value!r}: expected {' or '.join(choices)}")
    return value


def _checked(value: object, wanted: type) -> Any:
    """``value`` if its JSON type is ``wanted``: an int may stand for a float, a bool for neither."""
    right = isinstance(value, (int, float) if wanted is float else wanted)
    right = right and isinstance(value, bool) == (wanted is bool)
    if not right or (isinstance(value, float) and not math.isfinite(value)):
        raise ValueError(f"{value!r} is not a valid {wanted.__name__}")
    return value


_READERS = {
    kind: {name: _reader(hint) for name, hint in get_type_hints(event).items() if name != "kind"}
    for kind, event in KINDS.items()
}
_REQUIRED = {kind: {f.name for f in fields(event) if f.default is MISSING} for kind, event in KINDS.items()}
