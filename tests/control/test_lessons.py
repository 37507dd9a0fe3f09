"""Lessons in the reader's language: asked for by option, or by the environment; English where there is none."""

import pytest

from lab.control import lessons, scenarios
from lab.control.errors import UsageError
from tests.control.test_scenarios import PITFALL

TWIN = "# 标题。\n\n正文。\n\n    图\n\n## broken\n\n失败。\n\n## fixed\n\n成功。\n"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios, "FOLDER", tmp_path)
    (tmp_path / "trap.py").write_text(PITFALL)
    (tmp_path / "zh-CN").mkdir()
    return tmp_path / "zh-CN" / "trap.md"


@pytest.mark.parametrize("option", ["zh", "zh-CN", "zh_CN", "zh_CN.UTF-8", "ZH"])
def test_a_language_by_its_names(option):
    assert lessons.language(option, {"LANG": "en_GB.UTF-8"}) == "zh-CN"


@pytest.mark.parametrize("option", ["", "fr", "z", "zhongwen", "../zh-CN"])
def test_a_language_that_is_not_there_is_told(option):
    with pytest.raises(UsageError, match="there are: en, zh-CN"):
        lessons.language(option, {})


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
    ],
)
def test_the_environment_chooses(environment, language):
    assert lessons.language(None, environment) == language


def test_the_lesson_has_a_twin(trap):
    trap.write_text(TWIN)
    scenario = scenarios.load("trap")
    assert lessons.lesson(scenario, "en") == lessons.Lesson(
        "One line.", "The lesson.", {"broken": "It fails.", "fixed": "It works."}
    )
    assert lessons.lesson(scenario, "zh-CN") == lessons.Lesson(
        "标题。", "正文。\n\n    图", {"broken": "失败。", "fixed": "成功。"}
    )
    assert lessons.title("trap", "zh-CN") == "标题。"
    assert lessons.title("trap", "en") == "One line."


def test_one_variant_has_one_outcome(trap):
    trap.write_text(TWIN)
    assert lessons.lesson(scenarios.load("trap", "fixed"), "zh-CN").outcomes == {"fixed": "成功。"}


def test_a_scenario_of_ones_own_needs_no_twin(trap):
    scenario = scenarios.load("trap")
    assert lessons.lesson(scenario, "zh-CN") == lessons.lesson(scenario, "en")
    assert lessons.title("trap", "zh-CN") == "One line."
