"""Lessons in the reader's language or in English, and the changes between a pitfall's programs."""

import pytest

from lab.scenarios import catalog, lessons
from tests.scenarios.test_catalog import PITFALL

TWIN = "# 标题。\n\n正文。\n\n    图\n\n## broken\n\n失败。\n\n## fixed\n\n成功。\n"


@pytest.fixture
def trap(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    (tmp_path / "trap.py").write_text(PITFALL)
    (tmp_path / "zh-CN").mkdir()
    return tmp_path / "zh-CN" / "trap.md"


def test_a_lesson_in_another_language(trap):
    trap.write_text(TWIN)
    scenario = catalog.load("trap")
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
    assert lessons.lesson(catalog.load("trap", "fixed"), "zh-CN").outcomes == {"fixed": "成功。"}


def test_a_lesson_that_is_not_translated_is_in_english(trap):
    scenario = catalog.load("trap")
    assert lessons.lesson(scenario, "zh-CN") == lessons.lesson(scenario, "en")
    assert lessons.title("trap", "zh-CN") == "One line."


def holding(**programs):
    return catalog.Scenario("trap", "Title.", "Lesson.", lambda lab: {}, lambda record: None, {}, programs)


def test_a_broken_program_is_compared_with_the_fixed_one():
    assert lessons.changes(holding(BROKEN="import a\nb\nc", FIXED="import a\nB\nc")) == [
        "--- BROKEN",
        "+++ FIXED",
        " import a",
        "-b",
        "+B",
        " c",
    ]


def test_each_broken_program_is_compared_with_its_own_fixed_one():
    pairs = {"BROKEN_SERVER": "a", "BROKEN_CLIENT": "b", "FIXED_CLIENT": "B", "FIXED_SERVER": "A"}
    assert lessons.changes(holding(**pairs)) == [
        *("--- BROKEN_SERVER", "+++ FIXED_SERVER", "-a", "+A"),
        *("--- BROKEN_CLIENT", "+++ FIXED_CLIENT", "-b", "+B"),
    ]


def test_two_places_far_apart_are_separated():
    lines = [f"line {number}" for number in range(9)]
    other = ["first", *lines[1:-1], "last"]
    told = lessons.changes(holding(BROKEN="\n".join(lines), FIXED="\n".join(other)))
    assert told[2:] == [
        *("-line 0", "+first", " line 1", " line 2"),
        "@@",
        *(" line 6", " line 7", "-line 8", "+last"),
    ]


@pytest.mark.parametrize(
    "programs",
    [
        {"SERVER": "a"},
        {"BROKEN": "a"},
        {"BROKEN": "a", "FIXED_SERVER": "b"},
        {"UNBROKEN": "a", "UNFIXED": "b"},
        {"BROKEN": "the same", "FIXED": "the same"},
    ],
)
def test_without_a_pair_that_differs_there_is_nothing_to_change(programs):
    assert lessons.changes(holding(**programs)) == []
