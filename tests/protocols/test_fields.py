"""The checks of individual fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.fields import MAX_INTEGER, FieldChecks


class WrongField(Exception):
    def __init__(self, name, problem):
        super().__init__(f"{name} {problem}")
        self.name = name


checks = FieldChecks(WrongField)


@pytest.mark.parametrize(
    ("check", "good"),
    [
        (lambda v: checks.boolean("x", v), [True, False]),
        (lambda v: checks.integer("x", v), [0, MAX_INTEGER]),
        (lambda v: checks.integer("x", v, 1, 65_535), [1, 65_535]),
        (lambda v: checks.number("x", v, 0, 10), [0, 10, 2.5]),
        (lambda v: checks.text("x", v, 3), ["", "abc", "你好吗"]),
        (lambda v: checks.matching("x", v, "[0-9a-f]{4}", "four hex digits"), ["09af"]),
        (lambda v: checks.one_of("x", v, ("a", "b")), ["a", "b"]),
        (lambda v: checks.items("x", v, 2), [[], [1, 2], (1,)]),
        (lambda v: checks.mapping("x", v), [{}, {"a": 1}]),
        (lambda v: checks.mapping("x", v, {"a"}), [{}, {"a": 1}]),
    ],
)
def test_a_good_value_is_returned(check, good):
    for value in good:
        assert check(value) == value


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (lambda v: checks.boolean("x", v), [None, 0, 1, "true"]),
        (lambda v: checks.integer("x", v), [None, True, -1, MAX_INTEGER + 1, 1.0, "1"]),
        (lambda v: checks.integer("x", v, 1, 65_535), [0, 65_536]),
        (lambda v: checks.number("x", v, 0, 10), [None, True, "1", float("nan"), float("inf"), -0.1, 10.1]),
        (lambda v: checks.text("x", v, 3), [None, b"abc", "abcd"]),
        (lambda v: checks.matching("x", v, "[0-9a-f]{4}", "four hex digits"), [None, "09a", "09afb", "09AF"]),
        (lambda v: checks.one_of("x", v, ("a", "b")), [None, "", "c", ["a"]]),
        (lambda v: checks.items("x", v, 2), [None, "ab", [1, 2, 3], {}]),
        (lambda v: checks.mapping("x", v), [None, [], "a"]),
        (lambda v: checks.mapping("x", v, {"a"}), [{"a": 1, "b": 2}]),
    ],
)
def test_a_bad_value_is_named(check, bad):
    for value in bad:
        with pytest.raises(WrongField) as caught:
            check(value)
        assert caught.value.name == "x"


@given(st.text() | st.lists(st.text()))
def test_a_message_about_a_peers_value_is_short_and_safe_to_print(value):
    with pytest.raises(WrongField) as caught:
        checks.integer("size", value)
    assert str(caught.value).isascii()
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300
