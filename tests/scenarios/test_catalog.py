"""Scenarios are found by name; a file that isn't a valid scenario is reported in one line."""

import pytest
from typer.testing import CliRunner

from lab.cli.app import app
from lab.errors import UsageError
from lab.scenarios import catalog


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    return tmp_path


GOOD = '''"""One line.

The lesson.
"""
def run(lab): return {"a": 1}
def check(record): assert record == {"a": 1}
'''
PITFALL = '''"""One line.

The lesson.
"""
BROKEN = """
import socket
"""
def run(lab, variant): return {"played": variant}
def check_broken(record):
    """It fails."""
    assert record == {"played": "broken"}
def check_fixed(record):
    """It works."""
    assert record == {"played": "fixed"}
'''


class Lab:
    """Records the variants that begin."""

    def __init__(self):
        self.begun = []

    def begin(self, variant):
        self.begun.append(variant)


def test_a_file_is_a_scenario_by_its_name(folder):
    (folder / "two_words.py").write_text(GOOD)
    (folder / "_helper.py").write_text("")
    assert catalog.names() == ["two-words"]
    scenario = catalog.load("two-words")
    assert (scenario.name, scenario.title, scenario.lesson) == ("two-words", "One line.", "The lesson.")
    assert catalog.title("two-words") == "One line."
    scenario.check(scenario.run(None))


def test_a_missing_folder_is_a_usage_error_and_not_an_empty_list(folder, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", folder / "none")
    result = CliRunner().invoke(app, ["list"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"lab: LAB_SCENARIOS: {folder / 'none'} isn't a folder\n"


def test_a_pitfall_is_played_by_its_variants(folder):
    (folder / "trap.py").write_text(PITFALL)
    scenario = catalog.load("trap")
    lab = Lab()
    record = scenario.run(lab)
    assert record == {"broken": {"played": "broken"}, "fixed": {"played": "fixed"}}
    assert lab.begun == ["broken", "fixed"]
    scenario.check(record)
    assert scenario.outcomes == {"broken": "It fails.", "fixed": "It works."}
    assert scenario.programs == {"BROKEN": "import socket"}


@pytest.mark.parametrize(
    "record",
    [
        {"broken": {"played": "broken"}},
        {"fixed": {"played": "fixed"}},
        {},
        {"broken": {"played": "fixed"}, "fixed": {"played": "fixed"}},
        {"broken": {"played": "broken"}, "fixed": {"played": "broken"}},
    ],
)
def test_every_variant_that_was_asked_for_is_checked(folder, record):
    (folder / "trap.py").write_text(PITFALL)
    with pytest.raises(AssertionError):
        catalog.load("trap").check(record)


def test_one_variant_is_played_alone(folder):
    (folder / "trap.py").write_text(PITFALL)
    scenario = catalog.load("trap", "fixed")
    assert scenario.run(Lab()) == {"fixed": {"played": "fixed"}}
    assert list(scenario.outcomes) == ["fixed"]
    with pytest.raises(AssertionError):
        scenario.check({"broken": {"played": "broken"}})


def test_an_unknown_variant_is_an_error(folder):
    (folder / "trap.py").write_text(PITFALL)
    (folder / "two_words.py").write_text(GOOD)
    with pytest.raises(UsageError, match="no variant 'other'; there are: broken, fixed"):
        catalog.load("trap", "other")
    with pytest.raises(UsageError, match="two-words has no variants: it isn't a pitfall"):
        catalog.load("two-words", "broken")


def test_an_unknown_name_lists_the_known_ones(folder):
    (folder / "two_words.py").write_text(GOOD)
    with pytest.raises(
        UsageError, match=r"no scenario 'to-words'; did you mean two-words\? there are: two-words"
    ):
        catalog.load("to-words")


@pytest.mark.parametrize("name", ["../secret", "two_words", "", "two-words.py"])
def test_only_the_listed_names_are_opened(folder, name):
    (folder / "two_words.py").write_text(GOOD)
    with pytest.raises(UsageError, match="no scenario"):
        catalog.load(name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('"""One line."""\ndef run(lab): ...\n', "no attribute 'check'"),
        (PITFALL.replace("def check_fixed", "def check_other"), "no attribute 'check_fixed'"),
        (PITFALL.replace('"""It fails."""', "assert record"), "a check has no docstring"),
        (GOOD.replace('"""One line.\n\nThe lesson.\n"""', ""), "its docstring has no title"),
        ("import nothing_of_this_name\n", "ModuleNotFoundError"),
        ("def run(", "SyntaxError"),
    ],
)
def test_an_invalid_scenario_is_an_error(folder, content, said):
    (folder / "bad.py").write_text(content)
    with pytest.raises(UsageError, match=rf"bad.py isn't a scenario: .*{said}"):
        catalog.load("bad")


def test_the_projects_own_scenarios_are_short_and_have_titles():
    for name in catalog.names():
        text = (catalog.FOLDER / f"{name.replace('-', '_')}.py").read_text()
        code = text.split('"""', 2)[2]
        assert len(code.splitlines()) <= 80, f"{name} is too long"
        assert len(catalog.title(name)) <= 110
        assert catalog.load(name).lesson, f"{name} has no lesson"


def test_a_scenario_may_require_a_profile(folder):
    (folder / "plain.py").write_text(GOOD)
    (folder / "wants.py").write_text(GOOD.replace("def run", 'PROFILE = "windows"\ndef run'))
    (folder / "wrong.py").write_text(GOOD.replace("def run", 'PROFILE = "dos"\ndef run'))
    assert catalog.load("plain").profile == ""
    assert catalog.load("wants").profile == "windows"
    with pytest.raises(UsageError, match="no profile 'dos'; there is: windows"):
        catalog.load("wrong")


def test_a_scenario_may_name_a_topology(folder):
    (folder / "plain.py").write_text(GOOD)
    (folder / "wants.py").write_text(GOOD.replace("def run", 'TOPOLOGY = "default"\ndef run'))
    (folder / "wrong.py").write_text(GOOD.replace("def run", 'TOPOLOGY = "ring"\ndef run'))
    assert [catalog.load(name).topology for name in ("plain", "wants")] == ["", "default"]
    assert [catalog.topology(name) for name in ("plain", "wants", "wrong")] == ["", "default", "ring"]
    with pytest.raises(
        UsageError, match="wrong.py isn't a scenario: no topology 'ring'; there are: .*default"
    ):
        catalog.load("wrong")


def test_a_scenario_may_ask_for_pure_acks(folder):
    (folder / "plain.py").write_text(GOOD)
    (folder / "asks.py").write_text(GOOD.replace("def run", "ACKS = True\ndef run"))
    assert (catalog.load("plain").acks, catalog.load("asks").acks) == (False, True)
