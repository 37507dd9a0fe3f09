"""The settings of a link as commands for tc."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.link import traffic_control as tc
from lab.link.errors import ImpairmentError
from lab.link.settings import MAX_SEGMENTS, Drop, Impairment, LinkSettings
from lab.link.traffic_control import Interfaces

WAYS = Interfaces({"office": "eth0", "dmz": "eth1"})
THREE = Interfaces({"office": "eth0", "dmz": "eth1", "lab": "eth2"})
TO_DMZ = LinkSettings({"to-dmz": Impairment(loss=0.1)})


def commands(link, backend, interfaces=WAYS, root=""):
    """The commands for all directions."""
    return [
        " ".join(argv)
        for way, words in tc.qdiscs(link, interfaces, backend, 7).items()
        for argv in tc.set_qdisc_argv(interfaces.leaving(way), interfaces.parent(way), words, root)
    ]


def test_netem_has_an_argument_for_each_setting():
    asked = Impairment(0.02, 0.005, 0.1, 0.01, 0.02, 0.03, 10e6)
    (words,) = commands(LinkSettings({"to-office": asked}), "netem")
    assert words == (
        "tc qdisc replace dev eth0 root netem limit 32768 seed 7 delay 20000us 5000us loss 10% duplicate 1%"
        " reorder 2% corrupt 3% rate 10000000bit"
    )


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Impairment(delay=0.0005), "delay 500us"),
        (Impairment(loss=1e-6), "loss 0.0001%"),
        (Impairment(rate=64e3), "rate 64000bit"),
    ],
)
def test_netem_gets_only_the_arguments_that_are_needed(asked, words):
    (command,) = commands(LinkSettings({"to-dmz": asked}), "netem")
    assert command == f"tc qdisc replace dev eth1 root netem limit 32768 seed 7 {words}"


def test_netem_is_not_used_for_an_unimpaired_direction():
    assert tc.qdiscs(LinkSettings(), WAYS, "netem", 1) == {}


def test_the_tbf_queue_holds_one_burst():
    (words,) = commands(LinkSettings({"to-dmz": Impairment(rate=1e6)}), "nfqueue")
    assert words == "tc qdisc replace dev eth1 root tbf rate 1000000bit burst 2000 limit 67536"


def test_unsupported_settings_are_named():
    asked = Impairment(0.02, 0.005, 0.1, 0.01, 0.02, 0.03, 10e6)
    link = LinkSettings({"to-dmz": asked})
    assert tc.nfqueue_gaps(link, has_tbf=True) == []
    assert tc.nfqueue_gaps(link, has_tbf=False) == ["rate"]
    without = ["delay", "jitter", "duplication", "reordering", "corruption"]
    assert tc.statistic_gaps(link, has_tbf=True) == without
    assert tc.statistic_gaps(LinkSettings({"to-office": Impairment(loss=0.1, rate=1e6)}), has_tbf=True) == []


@pytest.mark.parametrize(
    ("link", "queued"),
    [
        (LinkSettings(), []),
        (TO_DMZ, ["to-dmz"]),
        (LinkSettings({"to-dmz": Impairment(rate=1e6)}), []),
        (LinkSettings({"to-dmz": Impairment(loss=0.1)}, cut=frozenset({"to-dmz"})), []),
        (LinkSettings(drops=(Drop((1,)),)), ["to-office", "to-dmz"]),
        (LinkSettings(drops=(Drop((1,), direction="to-office"),)), ["to-office"]),
    ],
)
def test_only_directions_that_need_decisions_are_queued(link, queued):
    assert tc.queued_directions(link, WAYS.directions) == queued


def test_lines_that_share_an_interface_have_a_class_each():
    link = LinkSettings({"to-dmz": Impairment(rate=1e6)})
    from_office, from_lab = THREE.between(["office", "dmz"]), THREE.between(["lab", "dmz"])
    assert commands(link, "nfqueue", from_office) == [
        "tc qdisc add dev eth1 root handle 1: htb direct_qlen 32768",
        "tc class replace dev eth1 parent 1: classid 1:1 htb rate 100gbit quantum 60000",
        "tc qdisc replace dev eth1 parent 1:1 tbf rate 1000000bit burst 2000 limit 67536",
    ]
    assert commands(link, "nfqueue", from_lab, root="htb")[0].endswith(
        "classid 1:3 htb rate 100gbit quantum 60000"
    )
    assert (from_office.priority("to-dmz"), from_lab.priority("to-dmz"), WAYS.priority("to-dmz")) == (
        0x10001, 0x10003, 0,
    )  # fmt: skip


def test_the_last_class_is_removed_with_the_root_qdisc():
    assert " ".join(tc.remove_qdisc_argv("eth1", "1:1", ["1:3"])) == "tc class del dev eth1 classid 1:1"
    assert " ".join(tc.remove_qdisc_argv("eth1", "1:1", [])) == "tc qdisc del dev eth1 root"
    assert " ".join(tc.remove_qdisc_argv("eth1", "root", [])) == "tc qdisc del dev eth1 root"


@pytest.mark.parametrize("segments", [["office"], ["office", "office"], ["office", "west"], []])
def test_a_link_joins_two_different_segments_of_the_router(segments):
    with pytest.raises(ImpairmentError, match="this router joins office, dmz, lab"):
        THREE.between(segments)


@given(st.integers(3, MAX_SEGMENTS))
def test_directions_that_share_an_interface_have_different_classes(count):
    whole = Interfaces({f"s{number}": f"eth{number}" for number in range(count)})
    pairs = [whole.between(pair) for pair in combinations(whole.by_segment, 2)]
    places = [(own.leaving(way), own.parent(way)) for own in pairs for way in own.directions]
    assert len(set(places)) == len(places) == count * (count - 1)
    assert all(own.paths(way)[0][1] == own.leaving(way) for own in pairs for way in own.directions)
