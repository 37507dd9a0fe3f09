"""The project's texts in the reader's language, from gettext catalogs: lab/locale/LANGUAGE/LC_MESSAGES.

The code holds the English texts, each marked by the function that it is passed to: ``_`` translates at once,
``message`` and ``messages`` when the text is shown. ``make translations`` collects the marked texts and
compiles the catalogs.
"""

from __future__ import annotations

import functools
import gettext
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

DOMAIN = "socketlab"
FOLDER = Path(__file__).parent
LANGUAGES = {"en": "English", "zh-CN": "简体中文"}


def known(name: str) -> str | None:
    """The language called ``name`` ("zh", "zh-CN", "zh_CN.UTF-8"); None if there is no catalog for it."""
    wanted = re.split("[-_.]", name)[0].casefold()
    return next((language for language in LANGUAGES if language.partition("-")[0] == wanted), None)


def from_environment(environment: Mapping[str, str] = os.environ) -> str:
    """The language set in the environment, by the rules of gettext(3); English if there is no catalog for it.

    LANGUAGE, a list, comes first. It is ignored if the locale is C.
    """
    names = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    locale = next(filter(None, names), "C")
    wanted = [] if locale in ("C", "POSIX") else environment.get("LANGUAGE", "").split(":")
    return next(filter(None, map(known, [*wanted, locale])), "en")


def translate_libraries() -> None:
    """Lets libraries that call gettext() themselves (argparse, typer) find their texts in this catalog.

    Sets LANGUAGE for this process and its children: gettext() has no other public parameter.
    """
    os.environ["LANGUAGE"] = _locale(from_environment())
    gettext.bindtextdomain(DOMAIN, str(FOLDER))
    gettext.textdomain(DOMAIN)


def _locale(language: str) -> str:
    return language.replace("-", "_")


@functools.cache
def _catalog(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, FOLDER, [_locale(language)], fallback=True)


def _(text: str, language: str | None = None) -> str:
    """``text`` in ``language`` (by default that of the environment); unchanged if it isn't translated."""
    if not text:
        return ""  # the catalog has its header there
    return _catalog(from_environment() if language is None else language).gettext(text)


@runtime_checkable
class Translatable(Protocol):
    """A value that has a text in each language."""

    def in_language(self, language: str) -> str: ...


@dataclass(frozen=True)
class Message:
    """A text that is translated when it is shown.

    ``fields`` are the values of the placeholders in ``text``, as for str.format; a value may be
    Translatable too. If there is a ``plural`` form, the field ``count`` chooses between the two.
    """

    text: str
    fields: Mapping[str, object] = field(default_factory=dict)
    plural: str = ""

    def __str__(self) -> str:
        return self.in_language("en")

    def in_language(self, language: str) -> str:
        if not self.text:
            return ""  # the catalog has its header there
        catalog = _catalog(language)
        if self.plural:
            count = self.fields["count"]
            assert isinstance(count, int)
            template = catalog.ngettext(self.text, self.plural, count)
        else:
            template = catalog.gettext(self.text)
        fields = {
            name: value.in_language(language) if isinstance(value, Translatable) else value
            for name, value in self.fields.items()
        }
        return template.format(**fields)


def message(text: str, /, **fields: object) -> Message:
    """A text to be translated when it is shown."""
    return Message(text, fields)


def messages(one: str, many: str, /, *, count: int, **fields: object) -> Message:
    """A text with a number in it, to be translated when it is shown: "{count} byte", "{count} bytes"."""
    return Message(one, {"count": count, **fields}, many)
