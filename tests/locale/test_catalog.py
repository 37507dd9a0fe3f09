"""The catalogs hold every marked text of the code, translated, and nothing else; the .mo files are current.

`make translations` collects and compiles; what is then still empty in a .po file is to be translated by hand.
"""

import re
import shutil
import subprocess

import pytest
from babel.messages.pofile import read_po

from lab import locale

ROOT = locale.FOLDER.parents[1]
CATALOGS = sorted(locale.FOLDER.glob("*/LC_MESSAGES/*.po"))
PLACEHOLDER = re.compile(r"\{\w*[^{}]*\}|%\(\w+\)[sdr]|%[sdr]")


def test_every_language_but_english_has_a_catalog():
    languages = [path.parents[1].name.replace("_", "-") for path in CATALOGS]
    assert languages == sorted(set(locale.LANGUAGES) - {"en"})


@pytest.mark.parametrize("file", ["socketlab.po", "socketlab.mo"])
def test_the_catalogs_are_what_the_code_and_the_translations_give(tmp_path, file):
    fresh = tmp_path / "locale"
    shutil.copytree(locale.FOLDER, fresh)
    subprocess.run([ROOT / "scripts" / "translations", fresh], check=True, timeout=60)
    for path in CATALOGS:
        kept = path.with_name(file)
        assert (fresh / kept.relative_to(locale.FOLDER)).read_bytes() == kept.read_bytes(), (
            "run `make translations` and commit the catalogs"
        )


def texts(path):
    with open(path, "rb") as file:
        return [text for text in read_po(file) if text.id]


def forms(text):
    return text.string if isinstance(text.string, tuple) else (text.string,)


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parents[1].name)
def test_every_text_is_translated(path):
    assert [text.id for text in texts(path) if text.fuzzy or not all(forms(text))] == []


@pytest.mark.parametrize("path", CATALOGS, ids=lambda path: path.parents[1].name)
def test_translations_have_the_same_placeholders(path):
    for text in texts(path):
        wanted = text.id[-1] if isinstance(text.id, tuple) else text.id
        for form in filter(None, forms(text)):
            assert sorted(PLACEHOLDER.findall(form)) == sorted(PLACEHOLDER.findall(wanted)), wanted
