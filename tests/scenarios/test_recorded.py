"""A play has the same record as the recorded run: the same keys, and values of the same types."""

import pytest

from lab.scenarios import catalog
from tests.scenario_items import marks_of
from tests.scenarios.recorded import RUNS, path_of, record_of, title


def difference(one, other, path="record"):
    """The first place at which the two values differ in their shape; None if there is none.

    Of two lists, the elements that both have are compared.
    """
    if type(one) is not type(other):
        return f"{path}: {type(one).__name__}, {type(other).__name__}"
    if isinstance(one, dict):
        if one.keys() != other.keys():
            return f"{path}: {sorted(one)}, {sorted(other)}"
        pairs = [(one[key], other[key], f"{path}.{key}") for key in one]
    elif isinstance(one, list):
        pairs = [(*pair, f"{path}.{number}") for number, pair in enumerate(zip(one, other, strict=False))]
    else:
        return None
    return next(filter(None, (difference(*pair) for pair in pairs)), None)


@pytest.mark.lab
@pytest.mark.parametrize("run", [pytest.param(run, marks=marks_of(*run), id=title(run)) for run in RUNS])
def test_a_play_has_the_shape_of_the_recorded_record(played, run):
    outcome = played(*run)
    assert outcome.verdict == "pass", outcome.reason
    assert difference(outcome.record, record_of(*run)) is None, (
        f"record {path_of(*run).name} again: make docs"
    )


@pytest.mark.parametrize(
    ("one", "other", "found"),
    [
        ({"a": [1, 2]}, {"a": [3]}, None),
        ({"a": []}, {"a": ["x"]}, None),
        ({"a": 1}, {"a": "1"}, "record.a: int, str"),
        ({"a": 1}, {"a": True}, "record.a: int, bool"),
        ({"a": 1}, {"b": 1}, "record: ['a'], ['b']"),
        ({"a": [{"b": 1}]}, {"a": [{"b": None}]}, "record.a.0.b: int, NoneType"),
    ],
)
def test_another_shape_is_detected(one, other, found):
    assert difference(one, other) == found


def test_there_is_no_record_of_a_scenario_that_no_longer_exists():
    folder = path_of("gbk-console", "windows").parent
    assert {path.name for path in folder.iterdir()} == {path_of(*run).name for run in RUNS if run[1]}
    assert {name for name, _ in RUNS} == set(catalog.names())
