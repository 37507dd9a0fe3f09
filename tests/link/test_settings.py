"""What may be asked of the link, and what is refused by name."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link.settings import (
    BOTH,
    DIRECTIONS,
    Drop,
    Impairment,
    ImpairmentError,
    LinkSettings,
    describe_rate,
    expand,
    flag_bits,
    parse_rate,
    parse_seconds,
    parse_share,
)

shares = st.floats(0, 1)


@st.composite
def impairments(draw):
    delay = draw(st.floats(0.001, 10))
    return Impairment(
        delay=delay,
        jitter=draw(st.floats(0, delay)),
        loss=draw(shares),
        duplication=draw(shares),
        reordering=draw(shares),
        corruption=draw(shares),
        rate=draw(st.none() | st.floats(8000, 10e9)),
    )


drops = st.builds(
    Drop,
    nth=st.lists(st.integers(1, 1000), min_size=1, max_size=5).map(tuple),
    protocol=st.sampled_from([None, "tcp"]),
    port=st.none() | st.integers(1, 65535),
    flags=st.sampled_from([None, "SYN", "SYN+ACK", "RST"]),
    direction=st.sampled_from([*DIRECTIONS, BOTH]),
)
links = st.builds(
    LinkSettings,
    impairments(),
    impairments(),
    cut=st.frozensets(st.sampled_from(DIRECTIONS)),
    drops=st.lists(drops, max_size=3).map(tuple),
)


@given(links)
def test_settings_survive_their_journey_as_json(link):
    assert LinkSettings.from_json(json.loads(json.dumps(link.as_json()))) == link


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("delay", {"delay": -0.001}),
        ("delay", {"delay": 10.1}),
        ("delay", {"delay": math.nan}),
        ("delay", {"delay": math.inf}),
        ("delay", {"delay": "20ms"}),
        ("delay", {"delay": True}),
        ("jitter", {"delay": 0.01, "jitter": 0.02}),
        ("loss", {"loss": 1.01}),
        ("loss", {"loss": -0.1}),
        ("duplication", {"duplication": 2}),
        ("reordering", {"reordering": 0.1}),
        ("corruption", {"corruption": None}),
        ("rate", {"rate": 7999}),
        ("rate", {"rate": 0}),
        ("rate", {"rate": 1e11}),
    ],
)
def test_nonsense_is_refused_by_name(name, asked):
    with pytest.raises(ImpairmentError) as caught:
        Impairment(**asked)
    assert caught.value.code == name
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("nth", {"nth": ()}),
        ("nth", {"nth": (0,)}),
        ("nth", {"nth": (1.5,)}),
        ("nth", {"nth": (True,)}),
        ("protocol", {"nth": (1,), "protocol": "sctp"}),
        ("port", {"nth": (1,), "port": 0}),
        ("port", {"nth": (1,), "port": 65536}),
        ("port", {"nth": (1,), "port": 80, "protocol": "icmp"}),
        ("flags", {"nth": (1,), "flags": "SYM"}),
        ("flags", {"nth": (1,), "flags": "SYN", "protocol": "udp"}),
        ("direction", {"nth": (1,), "direction": "up"}),
    ],
)
def test_a_drop_that_makes_no_sense_is_refused_by_name(name, asked):
    with pytest.raises(ImpairmentError) as caught:
        Drop(**asked)
    assert caught.value.code == name


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {"to-servers": []},
        {"to-servers": {"dealy": 1}},
        {"to-nowhere": {}},
        {"cut": ["up"]},
        {"cut": "both"},
        {"cut": [1]},
        {"drops": [{}]},
        {"drops": [{"nth": 1}]},
        {"drops": [{"nth": [1], "protocol": 6}]},
        {"drops": [{"nth": [1]}] * 17},
        {"to-clients": {"delay": "1"}},
    ],
)
def test_foreign_json_is_refused(value):
    with pytest.raises(ImpairmentError):
        LinkSettings.from_json(value)


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
def test_numbers_with_units(parse, text, value):
    assert parse(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "ms", "-1", "1 2", "nan", "inf", "0x10", "20min", "1,5", "１０"])
@pytest.mark.parametrize("parse", [parse_seconds, parse_share, parse_rate])
def test_what_is_no_number_is_refused(parse, text):
    with pytest.raises(ImpairmentError):
        parse(text)


def test_directions_and_flags():
    assert expand("both") == ("to-servers", "to-clients")
    assert expand("to-clients") == ("to-clients",)
    assert flag_bits("syn+ack") == 0x12


def test_settings_in_words():
    one = Impairment(delay=0.02, jitter=0.002, loss=0.1)
    assert LinkSettings().describe() == "unimpaired"
    assert LinkSettings(one, one).describe() == "both ways: 20 ms ± 2 ms, 10% loss"
    cut = LinkSettings(one, cut=frozenset({"to-clients"}), drops=(Drop((3,), flags="SYN"),))
    assert (
        cut.describe()
        == "to-servers: 20 ms ± 2 ms, 10% loss; to-clients: cut; drop number 3 of: SYN tcp both"
    )
    assert describe_rate(1.5e6) == "1.5 Mbit/s"
