"""Quantities with units, as users write them."""

import pytest

from lab.link.errors import ImpairmentError
from lab.link.units import describe_rate, parse_rate, parse_seconds, parse_share


@pytest.mark.parametrize(
    ("parse", "text", "value"),
    [
        (parse_seconds, "20ms", 0.02),
        (parse_seconds, "0.02", 0.02),
        (parse_seconds, "1.5 s", 1.5),
        (parse_seconds, "250us", 0.00025),
        (parse_share, "10%", 0.1),
        (parse_share, ".25", 0.25),
        (parse_rate, "10Mbit", 10e6),
        (parse_rate, "10Mbit/s", 10e6),
        (parse_rate, "1e6", 1e6),
        (parse_rate, "64k", 64e3),
        (parse_rate, "1.5gbit", 1.5e9),
    ],
)
def test_numbers_with_units_are_parsed(parse, text, value):
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "ms", "-1", "1 2", "nan", "inf", "0x10", "20min", "1,5", "１０"])
@pytest.mark.parametrize("parse", [parse_seconds, parse_share, parse_rate])
def test_other_text_is_refused(parse, text):
    with pytest.raises(ImpairmentError):
        parse(text)


def test_rates_are_shown_with_a_unit():
    assert describe_rate(1.5e6) == "1.5 Mbit/s"
    assert describe_rate(64e3) == "64 kbit/s"
