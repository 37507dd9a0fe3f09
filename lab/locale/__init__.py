"""The project's texts in the reader's language: a gettext catalog for each, lab/locale/LANGUAGE/LC_MESSAGES.

English stands in the code. ``_`` translates a text at once, ``message`` later, when the reader's language is
known. ``make translations`` collects the marked texts and compiles the catalogs.
"""

from __future__ import annotations

import functools
import gettext
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

DOMAIN = "socketlab"
FOLDER = Path(__file__).parent
LANGUAGES = {"en": "English", "zh-CN": "简体中文"}


def known(name: str) -> str | None:
    """The language called ``name`` ("zh", "zh-CN", "zh_CN.UTF-8"); None if there are no texts in it."""
    wanted = re.split("[-_.]", name)[0].casefold()
    return next((language for language in LANGUAGES if language.partition("-")[0] == wanted), None)


def from_environment(environment: Mapping[str, str] = os.environ) -> str:
    """The language that the environment asks for (locale(7)); English if it is one without texts."""
    names = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return known(next(filter(None, names), "")) or "en"


@functools.cache
def _catalog(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, FOLDER, [language.replace("-", "_")], fallback=True)


def _(text: str, language: str | None = None) -> str:
    """``text`` in ``language`` (None: that of the environment); in English if it isn't translated."""
    return _catalog(from_environment() if language is None else language).gettext(text)


@dataclass(frozen=True)
class Message:
    """A text that is translated when it is shown.

    ``fields`` stand in ``text`` by name, as in str.format; a field may be a Message too. If there is a
    ``plural``, the field ``count`` chooses between the two.
    """

    text: str
    fields: Mapping[str, object] = field(default_factory=dict)
    plural: str = ""

    def __str__(self) -> str:
        return self.in_language("en")

    def in_language(self, language: str) -> str:
        catalog = _catalog(language)
        if self.plural:
            count = self.fields["count"]
            assert isinstance(count, int)
            template = catalog.ngettext(self.text, self.plural, count)
        else:
            template = catalog.gettext(self.text)
        fields = {
            name: value.in_language(language) if isinstance(value, Message) else value
            for name, value in self.fields.items()
        }
        return template.format(**fields)


def message(text: str, /, **fields: object) -> Message:
    """A text to be translated later."""
    return Message(text, fields)


def messages(one: str, many: str, /, *, count: int, **fields: object) -> Message:
    """A text with a number in it, to be translated later: "{count} byte", "{count} bytes"."""
    return Message(one, {"count": count, **fields}, many)
