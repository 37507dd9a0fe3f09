"""Valid and invalid settings of a link. An error names the setting."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link.errors import ImpairmentError
from lab.link.settings import BOTH, Drop, Impairment, LinkSettings, directions_to, expand, flag_bits

DIRECTIONS = directions_to(("office", "dmz"))

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
    st.dictionaries(st.sampled_from(DIRECTIONS), impairments()),
    cut=st.frozensets(st.sampled_from(DIRECTIONS)),
    drops=st.lists(drops, max_size=3).map(tuple),
)


@given(links)
def test_settings_survive_a_json_round_trip(link):
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
def test_an_invalid_impairment_is_refused_by_name(name, asked):
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
        ("direction", {"nth": (1,), "direction": None}),
    ],
)
def test_an_invalid_drop_is_refused_by_name(name, asked):
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
        {"to-": {}},
        {"to-a b": {}},
        {"to-" + "x" * 64: {}},
        {f"to-{number}": {} for number in range(17)},
        {"office": {}},
        {"cut": ["up"]},
        {"cut": "both"},
        {"cut": [1]},
        {"cut": [[]]},
        {"drops": [{}]},
        {"drops": [{"nth": 1}]},
        {"drops": [{"nth": [1], "protocol": 6}]},
        {"drops": [{"nth": [1]}] * 17},
        {"to-clients": {"delay": "1"}},
    ],
)
def test_invalid_json_is_refused(value):
    with pytest.raises(ImpairmentError):
        LinkSettings.from_json(value)


def test_directions_are_named_after_segments():
    assert DIRECTIONS == ("to-office", "to-dmz")
    assert expand("both", DIRECTIONS) == ("to-office", "to-dmz")
    assert expand("to-dmz", DIRECTIONS) == ("to-dmz",)
    with pytest.raises(ImpairmentError, match="this link has to-office, to-dmz, both"):
        expand("to-lab", DIRECTIONS)
    with pytest.raises(ImpairmentError):
        directions_to(("a b",))


@pytest.mark.parametrize(
    "settings",
    [
        LinkSettings({"to-lab": Impairment()}),
        LinkSettings(cut=frozenset({"to-lab"})),
        LinkSettings(drops=(Drop((1,), direction="to-lab"),)),
    ],
)
def test_a_direction_that_a_lab_does_not_have_is_refused(settings):
    with pytest.raises(ImpairmentError, match="to-lab"):
        settings.check_directions(DIRECTIONS)


def test_a_direction_without_an_impairment_is_unimpaired():
    assert LinkSettings()["to-dmz"].is_nothing
    assert LinkSettings({"to-dmz": Impairment()}).is_nothing
    assert not LinkSettings({"to-dmz": Impairment(delay=0.1)}).is_nothing
    assert not LinkSettings(cut=frozenset({"to-dmz"})).is_nothing


def test_tcp_flags_are_parsed_into_bits():
    assert flag_bits("syn+ack") == 0x12


def test_settings_are_described_in_one_line():
    one = Impairment(delay=0.02, jitter=0.002, loss=0.1)
    assert LinkSettings().describe() == "unimpaired"
    assert LinkSettings(dict.fromkeys(DIRECTIONS, Impairment())).describe() == "unimpaired"
    assert LinkSettings(dict.fromkeys(DIRECTIONS, one)).describe() == "both ways: 20 ms ± 2 ms, 10% loss"
    assert LinkSettings({"to-dmz": one}).describe() == "to-dmz: 20 ms ± 2 ms, 10% loss"
    drop = Drop((3,), flags="SYN")
    cut = LinkSettings({"to-office": one}, cut=frozenset({"to-dmz"}), drops=(drop,))
    assert cut.describe() == "to-office: 20 ms ± 2 ms, 10% loss; to-dmz: cut; drop number 3 of: SYN tcp both"
    assert LinkSettings(cut=frozenset(DIRECTIONS)).describe() == "both ways: cut"
