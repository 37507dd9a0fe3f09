"""The reader's language: how it is found, and how texts are translated into it."""

import gettext
import subprocess
import sys

import pytest

from lab import locale
from lab.errors import LabError
from lab.locale import message, messages


@pytest.fixture
def catalog(monkeypatch):
    """A catalog with a few texts, in place of the one from gettext."""

    class Few(gettext.NullTranslations):
        def gettext(self, text):
            return {"{number} of {whole}": "{whole}的第{number}个", "a packet": "分组"}.get(text, text)

        def ngettext(self, one, many, count):
            return "{count} 个分组"

    monkeypatch.setattr(
        locale, "_catalog", lambda language: Few() if language == "zh-CN" else gettext.NullTranslations()
    )


@pytest.mark.parametrize("name", ["zh", "zh-CN", "zh_CN", "zh_CN.UTF-8", "ZH"])
def test_a_language_is_found_by_its_names(name):
    assert locale.known(name) == "zh-CN"


@pytest.mark.parametrize("name", ["", "fr", "z", "zhongwen", "../zh-CN", "C.UTF-8"])
def test_a_language_without_a_catalog(name):
    assert locale.known(name) is None


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "zh_CN.UTF-8"}, "zh-CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "zh_CN"}, "zh-CN"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh-CN"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
        ({"LANG": ""}, "en"),
        ({}, "en"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "zh_CN"}, "zh-CN"),
        ({"LANG": "fr_FR.UTF-8", "LANGUAGE": "fr:zh_CN:en"}, "zh-CN"),
        ({"LANG": "zh_CN.UTF-8", "LANGUAGE": "en"}, "en"),
        ({"LANG": "C", "LANGUAGE": "zh_CN"}, "en"),
        ({"LANGUAGE": "zh_CN"}, "en"),
    ],
)
def test_the_environment_chooses(environment, language):
    assert locale.from_environment(environment) == language


def test_a_message_is_translated_when_it_is_shown(catalog):
    text = message("{number} of {whole}", number=2, whole=message("a packet"))
    assert str(text) == "2 of a packet"
    assert text.in_language("zh-CN") == "分组的第2个"


def test_the_count_chooses_the_form(catalog):
    one, two = (messages("{count} packet", "{count} packets", count=count) for count in (1, 2))
    assert (str(one), str(two)) == ("1 packet", "2 packets")
    assert (one.in_language("zh-CN"), two.in_language("zh-CN")) == ("1 个分组", "2 个分组")


def test_an_empty_text_is_empty_in_every_language():
    assert locale._("", "zh-CN") == message("{x}", x=locale.Message("")).in_language("zh-CN") == ""


def test_braces_in_a_value_are_not_placeholders():
    assert str(message("{name} is unknown", name="{name!r}")) == "{name!r} is unknown"


def test_a_text_that_is_not_translated_stays_as_it_is(catalog):
    assert locale._("lab", "zh-CN") == "lab"


def test_an_error_has_its_text_in_each_language(catalog):
    assert str(LabError(message("a packet"))) == "a packet"
    assert LabError(message("a packet")).in_language("zh-CN") == "分组"
    assert LabError("a packet").in_language("zh-CN") == "a packet"


@pytest.mark.parametrize(("language", "shown"), [("zh_CN.UTF-8", "用法"), ("en_GB.UTF-8", "usage")])
def test_libraries_find_their_texts_in_the_catalog(language, shown):
    program = (
        "import argparse, lab.locale; lab.locale.translate_libraries();"
        "argparse.ArgumentParser(prog='x').print_help()"
    )
    argv = [sys.executable, "-P", "-c", program]
    environment = {"LANG": language, "PYTHONPATH": str(locale.FOLDER.parents[1]), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(argv, env=environment, capture_output=True, encoding="utf-8", timeout=30)
    assert done.stdout.startswith(shown)
