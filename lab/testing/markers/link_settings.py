"""The marker's ``link``: checks it when tests are collected, and applies it to a lab.

Its value is one of
    {"delay": 0.05, "loss": 0.01, "direction": "to-servers"}          keywords of lab.link.set
    {"to-servers": {"loss": 0.1}, "to-clients": {"delay": 0.02}}      for each direction
    {("office", "servers"): one of these, …}                          for each link of a lab with several
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from lab.control.lab import Lab
from lab.control.link.link import Link
from lab.errors import UsageError
from lab.link.errors import ImpairmentError
from lab.link.settings import BOTH, TO, Impairment, check_direction
from lab.locale import message

OPTIONS = ("direction", "verify")
IMPAIRMENTS = tuple(field.name for field in fields(Impairment))


def check(link: Mapping[Any, Any]) -> None:
    """Raises UsageError if ``link`` isn't valid."""
    if _is_by_link(link) and not all(isinstance(key, tuple) for key in link):
        other = next(key for key in link if not isinstance(key, tuple))
        raise UsageError(
            message("link: give settings for each link or for one, not {name!r} too", name=other)
        )
    for setting in link.values() if _is_by_link(link) else (link,):
        if not isinstance(setting, Mapping):
            raise UsageError(message("link={value!r}: expected a dict for each link", value=link))
        _check_one(setting)


def apply(lab: Lab, link: Mapping[Any, Any]) -> None:
    """Applies the settings. Raises UsageError, Unsupported, LinkFailure."""
    if _is_by_link(link):
        for ends, setting in link.items():
            _apply_one(lab.link(*ends), setting)
    elif link:
        _apply_one(lab.link, link)


def _is_by_link(link: Mapping[Any, Any]) -> bool:
    return any(isinstance(key, tuple) for key in link)


def _is_by_direction(setting: Mapping[str, Any]) -> bool:
    return any(str(name).startswith(TO) for name in setting)


def _check_one(setting: Mapping[str, Any]) -> None:
    if _is_by_direction(setting):
        for direction, impairment in setting.items():
            if not str(direction).startswith(TO) and direction != "verify":
                raise UsageError(
                    message(
                        "link: give settings for each direction or for both, not {name!r} too", name=direction
                    )
                )
            if direction != "verify":
                _check_impairment(direction, impairment, IMPAIRMENTS)
    else:
        _check_impairment(setting.get("direction", BOTH), setting, (*IMPAIRMENTS, *OPTIONS))


def _check_impairment(direction: str, setting: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if not isinstance(setting, Mapping) or (unknown := [name for name in setting if name not in known]):
        name = unknown[0] if isinstance(setting, Mapping) else setting
        raise UsageError(
            message("link: unknown setting {name!r}; there are {known}", name=name, known=", ".join(known))
        )
    try:
        _impairment(setting)
        if direction != BOTH:
            check_direction(direction)
    except ImpairmentError as error:
        raise UsageError(f"link: {error}") from None


def _impairment(setting: Mapping[str, Any]) -> Impairment:
    return Impairment(**{name: value for name, value in setting.items() if name not in OPTIONS})


def _apply_one(link: Link, setting: Mapping[str, Any]) -> None:
    """The link isn't measured, which takes seconds, unless the setting has ``verify=True``."""
    verify = bool(setting.get("verify", False))
    if _is_by_direction(setting):
        each = {name: _impairment(entry) for name, entry in setting.items() if name != "verify"}
        link.set_each(each, verify=verify)
    else:
        link.set(**{"verify": verify, **setting})
