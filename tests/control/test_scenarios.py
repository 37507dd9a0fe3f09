"""Scenarios are found by name; what isn't one is told in one line."""

import pytest

from lab.control import scenarios
from lab.control.errors import UsageError


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(scenarios, "FOLDER", tmp_path)
    return tmp_path


GOOD = '''"""One line.

The lesson.
"""
def run(lab): return {"a": 1}
def check(record): assert record == {"a": 1}
'''


def test_a_file_is_a_scenario_by_its_name(folder):
    (folder / "two_words.py").write_text(GOOD)
    (folder / "_helper.py").write_text("")
    assert scenarios.names() == ["two-words"]
    scenario = scenarios.load("two-words")
    assert (scenario.name, scenario.title, scenario.lesson) == ("two-words", "One line.", "The lesson.")
    assert scenarios.title("two-words") == "One line."
    scenario.check(scenario.run(None))


def test_an_unknown_name_lists_the_known_ones(folder):
    (folder / "two_words.py").write_text(GOOD)
    with pytest.raises(
        UsageError, match=r"no scenario 'to-words'; did you mean two-words\? there are: two-words"
    ):
        scenarios.load("to-words")


@pytest.mark.parametrize("name", ["../secret", "two_words", "", "two-words.py"])
def test_only_the_listed_names_are_opened(folder, name):
    (folder / "two_words.py").write_text(GOOD)
    with pytest.raises(UsageError, match="no scenario"):
        scenarios.load(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("def run(lab): ...\n", "no attribute 'check'"),
        (GOOD.replace('"""One line.\n\nThe lesson.\n"""', ""), "its docstring has no title"),
        ("import nothing_of_this_name\n", "ModuleNotFoundError"),
        ("def run(", "SyntaxError"),
    ],
)
def test_what_is_no_scenario_is_told(folder, content, said):
    (folder / "bad.py").write_text(content)
    with pytest.raises(UsageError, match=rf"bad.py is no scenario: .*{said}"):
        scenarios.load("bad")


def test_the_projects_own_scenarios_are_short_and_have_titles():
    for name in scenarios.names():
        text = (scenarios.FOLDER / f"{name.replace('-', '_')}.py").read_text()
        code = text.split('"""', 2)[2]
        assert len(code.splitlines()) <= 72, f"{name} is too long to be read from top to bottom"
        assert len(scenarios.title(name)) <= 110
        assert scenarios.load(name).lesson, f"{name} teaches nothing"
