"""Checks the values of a description. Each function returns the value, or raises Wrong."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias, TypeVar

from lab.locale import Message, message
from lab.topology.errors import suggestion
from lab.topology.model import Forward, Mount, Protocol, Ready
from lab.topology.node import PROFILES

T = TypeVar("T")
Checker: TypeAlias = Callable[[Any], T]

_KINDS: Mapping[type, Message] = {
    bool: message("a boolean (true or false)"),
    str: message("a string"),
    int: message("a number"),
    list: message("a list"),
    dict: message("a table"),
}
_PORT = re.compile(r"(\d{1,5})(?:/(tcp|udp))?")
_VARIABLE = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READY = message('use "tcp 80", "http 80/path", "log TEXT" or "healthcheck"')


class Wrong(ValueError):
    """A value that isn't valid. ``path`` leads to the part that is wrong."""

    def __init__(self, problem: Message, remedy: Message, *path: str) -> None:
        super().__init__(problem, remedy)
        self.problem, self.remedy, self.path = problem, remedy, path


def kind_of(value: object) -> Message:
    """The kind of a TOML value: "a string", "a list"."""
    return next(
        (text for kind, text in _KINDS.items() if isinstance(value, kind)), message("a value of another kind")
    )


def _of(kind: type[T], value: object) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise Wrong(
            message("it is {found}", found=kind_of(value)), message("give {expected}", expected=_KINDS[kind])
        )
    return value


def text(value: object) -> str:
    """A string that isn't empty and has no control characters."""
    found = _of(str, value)
    if not found.strip():
        raise Wrong(message("it is empty"), message("give a value, or remove the key"))
    if not found.isprintable():
        raise Wrong(message("it has a control character"), message("remove it"))
    return found


def flag(value: object) -> bool:
    return _of(bool, value)


def table(value: object) -> dict[str, Any]:
    return _of(dict, value)


def number(low: int, high: int) -> Checker[int]:
    """A whole number in this range."""

    def check(value: object) -> int:
        found = _of(int, value)
        if not low <= found <= high:
            raise Wrong(
                message("{number} is out of range", number=found),
                message("use {low} to {high}", low=low, high=high),
            )
        return found

    return check


def list_of(checker: Checker[T]) -> Checker[tuple[T, ...]]:
    """A list of such values."""

    def check(value: object) -> tuple[T, ...]:
        return tuple(_part(checker, each, str(index)) for index, each in enumerate(_of(list, value)))

    return check


def one_or_more(checker: Checker[T]) -> Checker[tuple[T, ...]]:
    """One such value, or a list of them that isn't empty."""

    def check(value: object) -> tuple[T, ...]:
        if not isinstance(value, list):
            return (checker(value),)
        if not value:
            raise Wrong(message("the list is empty"), message("give a value, or remove the key"))
        return list_of(checker)(value)

    return check


def by_name(checker: Checker[T]) -> Checker[dict[str, T]]:
    """A table of such values."""

    def check(value: object) -> dict[str, T]:
        return {name: _part(checker, each, name) for name, each in table(value).items()}

    return check


def command(value: object) -> tuple[str, ...]:
    """A command as a list of words, or as a string that is split as a shell does."""
    if isinstance(value, list):
        return list_of(lambda each: _of(str, each))(value)
    try:
        return tuple(shlex.split(text(value)))
    except ValueError as error:
        if isinstance(error, Wrong):
            raise
        raise Wrong(message("a quote isn't closed"), message("close it, or give a list of words")) from None


def environment(value: object) -> dict[str, str]:
    """Environment variables: strings, numbers, true and false."""
    for name in table(value):
        if not _VARIABLE_NAME.fullmatch(name):
            raise Wrong(
                message("{name!r} is not the name of an environment variable", name=name),
                message("use letters, digits and _"),
                name,
            )
    return by_name(_as_text)(value)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, float)) else _of(str, value)


def mount(value: object) -> Mount:
    """SOURCE:TARGET or SOURCE:TARGET:ro."""
    source, *rest = text(value).split(":")
    if not source or len(rest) not in (1, 2) or rest[1:] not in ([], ["ro"], ["rw"]):
        raise Wrong(
            message("{value!r} is not a mount", value=value),
            message('use "SOURCE:TARGET" or "SOURCE:TARGET:ro"'),
        )
    if not rest[0].startswith("/"):
        raise Wrong(
            message("{target!r} is not an absolute path", target=rest[0]),
            message("give the path in the container, such as /src"),
        )
    return Mount(source, rest[0], read_only=rest[1:] == ["ro"])


def ready(value: object) -> Ready:
    """ "tcp 80", "http 80/path", "log TEXT" or "healthcheck"."""
    kind, _, rest = text(value).partition(" ")
    rest = rest.strip()
    number, slash, path = rest.partition("/")
    if kind == "healthcheck" and not rest:
        return Ready("healthcheck")
    if kind == "log" and rest:
        return Ready("log", text=rest)
    if kind == "tcp" and not slash and number.isdecimal():
        return Ready("tcp", port(number))
    if kind == "http" and number.isdecimal():
        return Ready("http", port(number), "/" + path)
    raise Wrong(message("{value!r} is not a readiness condition", value=value), _READY)


def reset(value: object) -> bool:
    """What a reset does with the container: "keep" (True) or "replace"."""
    if value not in ("keep", "replace"):
        raise Wrong(message("{value!r} is unknown", value=value), message('use "keep" or "replace"'))
    return value == "keep"


def port(digits: str) -> int:
    """A port in decimal digits."""
    if not digits.isascii() or not digits.isdecimal() or not 1 <= int(digits[:6]) <= 65535:
        raise Wrong(message("{text!r} is not a port", text=digits), message("use 1 to 65535"))
    return int(digits)


def forwards(value: object) -> tuple[Forward, ...]:
    """Port forwarding: { 8080 = "web:80", "53/udp" = "dns:53" }."""
    return tuple(_part(partial(_forward, name), to, name) for name, to in table(value).items())


def _forward(name: str, value: object) -> Forward:
    matched = _PORT.fullmatch(name)
    if not matched:
        raise Wrong(message("{text!r} is not a port", text=name), message('use 8080, or "8080/udp"'))
    host, colon, to = text(value).rpartition(":")
    if not colon or not host:
        raise Wrong(
            message("{value!r} is not a destination", value=value),
            message('use "HOST:PORT", such as "web:80"'),
        )
    protocol: Protocol = "udp" if matched[2] == "udp" else "tcp"
    return Forward(port(matched[1]), host, port(to), protocol)


def profile(value: object) -> str:
    """A profile, or an environment variable that names one: $PROFILE."""
    found = text(value)
    if found not in PROFILES and not _VARIABLE.fullmatch(found):
        raise Wrong(message("there is no profile {name!r}", name=found), suggestion(found, PROFILES))
    return found


def _part(checker: Checker[T], value: object, key: str) -> T:
    """Checks a part of a value: a mistake in it has the part's path."""
    try:
        return checker(value)
    except Wrong as wrong:
        raise Wrong(wrong.problem, wrong.remedy, key, *wrong.path) from None
