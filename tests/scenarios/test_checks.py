"""Every check reads every value of its record: a check that can't fail is a defect.

The records are those of real runs (tests/scenarios/recorded.py); no engine is needed. Each value in turn is
changed a little, and each forgery of FORGERIES is tried; the check must reject all of them by an assertion of
its own. tests/scenarios/test_recorded.py plays the scenarios and compares.
"""

import ast
import copy
import fnmatch
import functools
import traceback

import pytest

from lab.scenarios import catalog
from tests.scenarios.forgeries import FORGERIES, VARYING
from tests.scenarios.recorded import RUNS, is_current, record_of, title

# ------------------------------------------------------------------ forging


def places(value, path=()):
    """The path of every value in a record, containers included."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def value_at(record, path):
    for key in path:
        record = record[key]
    return record


def with_value(record, path, value):
    record = copy.deepcopy(record)
    value_at(record, path[:-1])[path[-1]] = value
    return record


def slightly_different(value):
    """Slightly different values: the next number; one character or element added, removed or changed."""
    match value:
        case bool():
            return [not value]
        case int() | float():
            return [value + 1, value - 1]
        case str():
            return [value + "x", *shorter_or_changed(value)]
        case list():
            return [[*value, value[-1] if value else "x"], *fewer_or_swapped(value)]
        case dict():
            return [{**value, "x": next(iter(value.values()), 0)}]
    return ["x"]  # instead of None


def shorter_or_changed(text):
    middle = len(text) // 2
    other = "y" if text[middle : middle + 1] == "x" else "x"
    return [text[:-1], text[:middle] + other + text[middle + 1 :]] if text else []


def fewer_or_swapped(values):
    swapped = [
        [*values[:number], values[number + 1], values[number], *values[number + 2 :]]
        for number in range(len(values) - 1)
        if values[number] != values[number + 1]
    ]
    return [values[:-1], *swapped[:1]] if values else []


def absurd(value):
    """Another value of the same type that can't be right."""
    if isinstance(value, int | float):
        return -1 - abs(value)
    return "forged" if isinstance(value, str) else type(value)()


def varies(name, path):
    text = ".".join(map(str, path))
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in VARYING.get(name, ()))


# ----------------------------------------------------------------- rejecting


def rejecting_assertion(scenario, record):
    """The source of the assertion in the scenario's own file that rejects the record; None if none does.

    Any other exception comes through: a record that the check can't read is not a rejected one.
    """
    path = catalog.FOLDER / f"{scenario.name.replace('-', '_')}.py"
    try:
        scenario.check(record)
    except AssertionError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        assert frame.filename == str(path), f"rejected in {frame.filename}"
        return next(
            text for text, first, last in assertions(path, frame.name) if first <= frame.lineno <= last
        )
    return None


@functools.cache
def assertions(path, function):
    """The assertions of one function: their source in one line, first and last line number."""
    source = path.read_text(encoding="utf-8")
    (definition,) = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    return [
        (" ".join(ast.get_source_segment(source, node).split()), node.lineno, node.end_lineno)
        for node in ast.walk(definition)
        if isinstance(node, ast.Assert)
    ]


def is_section(scenario, record, path):
    """Whether the check reads the keys of this dictionary by name: then they are the record's shape."""
    for key in value_at(record, path):
        less = copy.deepcopy(record)
        del value_at(less, path)[key]
        try:
            scenario.check(less)
        except KeyError:
            return True
        except AssertionError:
            continue
    return False


# --------------------------------------------------------------------- tests


@pytest.fixture(params=RUNS, ids=title)
def run(request):
    """A scenario and a record of it that its check accepts."""
    name, profile = request.param
    scenario, record = catalog.load(name), record_of(name, profile)
    try:
        scenario.check(record)
    except Exception:
        if is_current(name, profile):
            raise
        pytest.skip("recorded with other code (tests/docs/tools/test_pages.py fails): make docs")
    return scenario, record


def test_a_check_changes_nothing(run):
    scenario, record = run
    before = copy.deepcopy(record)
    scenario.check(record)
    assert record == before


def test_a_slightly_different_value_is_rejected(run):
    scenario, record = run
    accepted = []
    for path in places(record):
        value = value_at(record, path)
        if isinstance(value, dict) and is_section(scenario, record, path):
            continue
        forgeries = [absurd(value)] if varies(scenario.name, path) else slightly_different(value)
        for forgery in forgeries:
            if rejecting_assertion(scenario, with_value(record, path, forgery)) is None:
                accepted.append((path, forgery))
    assert accepted == []


def test_a_missing_value_is_rejected(run):
    scenario, record = run
    for key in record:
        less = {k: v for k, v in record.items() if k != key}
        with pytest.raises((KeyError, AssertionError)):
            scenario.check(less)


def test_each_failure_is_rejected_by_the_assertion_that_is_meant(run):
    scenario, record = run
    forgeries = FORGERIES[scenario.name]
    assert forgeries, "a scenario needs at least one forgery that says what can go wrong"
    for story, (forge, meant) in forgeries.items():
        forged = copy.deepcopy(record)
        forge(forged)
        assert forged != record, f"{story}: forges nothing"
        rejected_by = rejecting_assertion(scenario, forged)
        assert rejected_by, f"accepted: {story}"
        assert meant in rejected_by, f"{story}: rejected by another assertion"


@pytest.mark.parametrize("name", catalog.names())
def test_each_forgery_names_one_assertion(name):
    path = catalog.FOLDER / f"{name.replace('-', '_')}.py"
    functions = [node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
    for story, (_, meant) in FORGERIES[name].items():
        found = [[text for text, *_ in assertions(path, function) if meant in text] for function in functions]
        assert max(map(len, found)) == 1, f"{story}: {meant}"


def test_every_scenario_has_forgeries_and_every_forgery_a_scenario():
    assert sorted(FORGERIES) == catalog.names()
    assert set(VARYING) <= set(FORGERIES)


@pytest.mark.parametrize("name", sorted(VARYING))
def test_every_path_that_varies_is_in_the_record(name):
    paths = [".".join(map(str, path)) for path in places(record_of(name))]
    for pattern in VARYING[name]:
        assert fnmatch.filter(paths, pattern), pattern
