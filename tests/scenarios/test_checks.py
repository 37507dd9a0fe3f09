"""Every check looks at every value of its record: a check that can't fail is a defect.

Each scenario's own record, from a real run, is forged in every place in turn, and in the ways of FORGERIES;
the check must reject each of them.
"""

import copy

import pytest

from lab.scenarios import catalog
from tests.scenarios.forgeries import FORGERIES

pytestmark = pytest.mark.lab


def places(value, path=()):
    """The path of every value in a record, containers included."""
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield (*path, key)
        yield from places(child, (*path, key))


def forged(value):
    """Another value of the same kind, and one that can't be right."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return -1 - abs(value)
    return type(value)("forged") if isinstance(value, str) else type(value)() or None


def rejects(scenario, record):
    try:
        scenario.check(record)
    except AssertionError:
        return True
    return False


def with_value(record, path, value):
    record = copy.deepcopy(record)
    *parents, last = path
    place = record
    for key in parents:
        place = place[key]
    place[last] = value
    return record


# Each on the lab that it wants; these two look at other values with the profile.
PLAYED = [(name, "") for name in catalog.names()] + [
    (name, "windows") for name in ("gbk-console", "sticky-packets")
]


@pytest.fixture(params=PLAYED, ids=lambda played: " on ".join(filter(None, played)))
def outcome(request, played):
    outcome = played(*request.param)
    assert outcome.verdict == "pass", outcome.reason
    return outcome


def test_the_record_is_plain_and_the_check_is_pure(outcome):
    before = copy.deepcopy(outcome.record)
    outcome.scenario.check(outcome.record)
    outcome.scenario.check(outcome.record)
    assert outcome.record == before


def test_no_value_can_be_forged_unnoticed(outcome):
    unnoticed = []
    for path in places(outcome.record):
        value = outcome.record
        for key in path:
            value = value[key]
        if value in ([], {}) and isinstance(value, list | dict):
            record = with_value(outcome.record, path, ["forged"])
        else:
            record = with_value(outcome.record, path, forged(value))
        try:
            outcome.scenario.check(record)
        except Exception:  # noqa: S112  # an assertion, or a value of the wrong shape
            continue
        unnoticed.append(path)
    assert unnoticed == []


def test_no_value_can_be_left_out(outcome):
    for key in outcome.record:
        record = {k: v for k, v in outcome.record.items() if k != key}
        with pytest.raises((KeyError, AssertionError)):
            outcome.scenario.check(record)


def test_each_story_of_a_failure_is_rejected(outcome):
    stories = FORGERIES[outcome.scenario.name]
    assert stories, "a scenario wants at least one forgery that tells what could go wrong"
    for story, forge in stories.items():
        record = copy.deepcopy(outcome.record)
        forge(record)
        assert record != outcome.record, f"{story}: forges nothing"
        assert rejects(outcome.scenario, record), f"accepted: {story}"


def test_every_scenario_has_forgeries_and_every_forgery_a_scenario():
    assert sorted(FORGERIES) == catalog.names()
