"""The markers ``lab`` and ``needs`` of a test: its lab, and the settings of its link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lab.locale import Message, from_environment, message
from lab.testing.markers.needs import KNOWN

FIXTURE = "lab"
KEYWORDS = ("topology", "file", "profile", "link", "timeout")
MARKERS = (
    'lab(topology="star", file="lab.toml", profile="windows", link=dict(delay=0.05, loss=0.01), timeout=20): '
    "the lab of the test, the settings of its link, and the seconds for its body; needs a Docker Engine",
    f"needs(name, ...): features that the lab must have, of {', '.join(KNOWN)}; see --lab-unsupported",
)


class _NoParameters:
    """The callspec of a test that isn't parametrized."""

    params: Mapping[str, Any] = {}
    marks: tuple[pytest.Mark, ...] = ()


@dataclass(frozen=True)
class Marks:
    """The keywords of a test's markers. The closest marker takes precedence.

    ``topology`` is a shipped one, ``file`` a description; neither if the marker doesn't choose. ``link`` has
    the settings as in the marker; see lab/testing/markers/link_settings.py.
    """

    topology: str = ""
    file: Path | None = None
    profile: str = ""
    link: Mapping[Any, Any] = field(default_factory=dict)
    timeout: float | None = None
    needs: tuple[str, ...] = ()

    @classmethod
    def of(cls, item: pytest.Item) -> Marks:
        """The marks of a test. Raises UsageError, which names the test and the mistake."""
        _check_fixture(item)
        found: dict[str, Any] = {}
        for keywords in [_parameter(item), *_markers(item)]:
            if {"topology", "file"} & found.keys():
                keywords = {name: v for name, v in keywords.items() if name not in ("topology", "file")}
            found = {**keywords, **found}
        _check(item, found)
        if "file" in found:
            found["file"] = item.path.parent / found["file"]
        return cls(**{name: v for name, v in found.items() if v is not None}, needs=_needs(item))


def uses_lab(item: pytest.Item) -> bool:
    """Whether a test has the plugin's fixture."""
    return FIXTURE in getattr(item, "fixturenames", ())


OTHER_FIXTURES: set[str] = set()  # fixtures of a conftest that use the labs of the session in another way


def is_marked(item: pytest.Item) -> bool:
    return item.get_closest_marker("lab") is not None


def _parameter(item: pytest.Item) -> Mapping[str, Any]:
    """The keywords that ``parametrize("lab", [...], indirect=True)`` passes to the fixture."""
    value = getattr(item, "callspec", _NoParameters).params.get(FIXTURE)
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(item, message("a parameter of the fixture lab must be a dict of the marker's keywords"))
    return value


def _markers(item: pytest.Item) -> list[Mapping[str, Any]]:
    """The keywords of the markers, the closest first: those of a parameter, of the function, the class …"""
    of_parameter = [mark for mark in getattr(item, "callspec", _NoParameters).marks if mark.name == "lab"]
    markers = [*of_parameter, *item.iter_markers("lab")]
    if any(marker.args for marker in markers):
        raise _wrong(item, message("the marker takes keywords only: {known}", known=", ".join(KEYWORDS)))
    return [marker.kwargs for marker in markers]


def _check(item: pytest.Item, found: Mapping[str, Any]) -> None:
    for name, value in found.items():
        if problem := _problem(name, value):
            raise _wrong(item, problem)
    if found.get("topology") and found.get("file"):
        raise _wrong(item, message("give a topology or a file, not both"))


def _check_fixture(item: pytest.Item) -> None:
    """A marker of a class or a module may be meant for other tests; one of the test itself is not.

    An item of another plugin, and a test with a fixture in ``OTHER_FIXTURES``, have their lab in another way.
    """
    if not isinstance(item, pytest.Function) or OTHER_FIXTURES.intersection(item.fixturenames):
        return
    for mark in item.own_markers:
        if mark.name == "lab" and mark.kwargs and not uses_lab(item):
            raise _wrong(item, message("the test doesn't have the fixture lab as an argument"))
    for mark in item.iter_markers("parametrize"):
        if FIXTURE in _names(mark.args[:1]) and not _is_indirect(mark):
            raise _wrong(item, message('parametrize("lab", …) needs indirect=True'))


def _is_indirect(mark: pytest.Mark) -> bool:
    value = mark.kwargs.get("indirect", mark.args[2] if len(mark.args) > 2 else False)
    return value is True or (value is not False and FIXTURE in value)


def _names(first: tuple[Any, ...]) -> list[str]:
    """The names of the arguments that ``parametrize`` sets."""
    names = first[0] if first else ()
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)


def _problem(name: str, value: Any) -> Message | None:
    """Why a keyword of the marker isn't valid."""
    if name not in KEYWORDS:
        return message("unknown keyword {name!r}; there are {known}", name=name, known=", ".join(KEYWORDS))
    if name == "timeout":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        wrong = not is_number or value <= 0
        return message("timeout={value!r}: expected seconds above 0", value=value) if wrong else None
    expected: dict[str, tuple[type, ...]] = {"link": (Mapping,), "file": (str, Path)}
    types = expected.get(name, (str,))
    if isinstance(value, types):
        return None
    return message(
        "{name}={value!r}: expected {type}",
        name=name,
        value=value,
        type={"link": "a dict", "file": "a path"}.get(name, "a name"),
    )


def _needs(item: pytest.Item) -> tuple[str, ...]:
    wanted = dict.fromkeys(name for marker in item.iter_markers("needs") for name in marker.args)
    for name in wanted:
        if name not in KNOWN:
            text = message("needs({name!r}): there are {known}", name=name, known=", ".join(KNOWN))
            raise pytest.UsageError(f"{item.nodeid}: {text.in_language(from_environment())}")
    return tuple(wanted)


def _wrong(item: pytest.Item, problem: Message) -> pytest.UsageError:
    text = problem.in_language(from_environment())
    return pytest.UsageError(f"{item.nodeid}: @pytest.mark.lab: {text}")
