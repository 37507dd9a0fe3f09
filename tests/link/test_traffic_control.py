"""The settings of a link as commands for tc and iptables."""

import pytest

from lab.link import traffic_control as tc
from lab.link.settings import Drop, Impairment, LinkSettings
from lab.link.traffic_control import Interfaces

WAYS = Interfaces({"office": "eth0", "dmz": "eth1"})
THREE = Interfaces({"office": "eth0", "dmz": "eth1", "lab": "eth2"})
TO_DMZ = LinkSettings({"to-dmz": Impairment(loss=0.1)})


def test_netem_has_an_argument_for_each_setting():
    asked = Impairment(0.02, 0.005, 0.1, 0.01, 0.02, 0.03, 10e6)
    (words,) = tc.netem_argv(LinkSettings({"to-office": asked}), WAYS, 7)
    assert " ".join(words) == (
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
    (command,) = tc.netem_argv(LinkSettings({"to-dmz": asked}), WAYS, 1)
    assert " ".join(command) == f"tc qdisc replace dev eth1 root netem limit 32768 seed 1 {words}"


def test_netem_is_not_used_for_an_unimpaired_direction():
    assert tc.netem_argv(LinkSettings(), WAYS, 1) == []


def test_the_tbf_queue_holds_one_burst():
    (words,) = tc.tbf_argv(LinkSettings({"to-dmz": Impairment(rate=1e6)}), WAYS)
    assert " ".join(words) == "tc qdisc replace dev eth1 root tbf rate 1000000bit burst 2000 limit 67536"


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


def test_a_cut_comes_before_the_queue():
    link = LinkSettings(dict.fromkeys(WAYS.directions, Impairment(delay=0.1)), cut=frozenset({"to-office"}))
    rules = tc.filter_rules(link, WAYS, queues={"to-dmz": 4})
    assert rules["mangle"] == [
        "-A SOCKETLAB-LINK -i eth1 -o eth0 -j DROP",
        "-A SOCKETLAB-LINK -i eth0 -o eth1 -j NFQUEUE --queue-num 4",
    ]
    assert rules["raw"] == [f"-A SOCKETLAB-LINK -i {name} -j CT --notrack" for name in ("eth0", "eth1")]


def test_loss_becomes_a_statistic_rule():
    rules = tc.filter_rules(TO_DMZ, WAYS, statistic=True, notrack=False)
    loss = "-A SOCKETLAB-LINK -i eth0 -o eth1 -m statistic --mode random --probability 0.100000000 -j DROP"
    assert rules == {"raw": [], "mangle": [loss]}


def test_drop_rules_count_source_and_destination_port_together():
    drop = Drop((2, 5), port=8001, flags="SYN", direction="to-dmz")
    rules = tc.filter_rules(LinkSettings(drops=(drop,)), WAYS)["mangle"]
    assert rules == [
        "-A SOCKETLAB-LINK -j SOCKETLAB-DROPS",
        "-A SOCKETLAB-DROPS -p udp -m multiport --ports 61987 -j RETURN",
        "-A SOCKETLAB-DROPS -i eth0 -o eth1 -p tcp --tcp-flags ACK,FIN,RST,SYN SYN -m multiport --ports 8001"
        " -j SOCKETLAB-DROP0",
        "-A SOCKETLAB-DROP0 -m statistic --mode nth --every 2147483647 --packet 1 -j DROP",
        "-A SOCKETLAB-DROP0 -m statistic --mode nth --every 2147483647 --packet 3 -j DROP",
    ]


SAVED = """\
*mangle
:FORWARD ACCEPT [0:0]
:OTHERS - [0:0]
:SOCKETLAB-DROPS - [0:0]
:SOCKETLAB-LINK - [0:0]
-A FORWARD -j SOCKETLAB-LINK
-A SOCKETLAB-LINK -j SOCKETLAB-DROPS
COMMIT
*nat
:SOCKETLAB-NOT-OURS-TO-TOUCH - [0:0]
COMMIT
"""


def test_rules_are_replaced_in_one_step():
    rules = {"mangle": ["-A SOCKETLAB-LINK -j DROP"], "raw": []}
    assert tc.replacement("", rules) == (
        "*mangle\n:SOCKETLAB-LINK - [0:0]\n-A FORWARD -j SOCKETLAB-LINK\n-A SOCKETLAB-LINK -j DROP\nCOMMIT\n"
    )
    assert tc.replacement(SAVED, rules) == (
        "*mangle\n:SOCKETLAB-DROPS - [0:0]\n:SOCKETLAB-LINK - [0:0]\n-A SOCKETLAB-LINK -j DROP\n"
        "-X SOCKETLAB-DROPS\nCOMMIT\n"
    )


def test_only_our_own_rules_are_removed():
    assert tc.replacement(SAVED, {}) == (
        "*mangle\n:SOCKETLAB-DROPS - [0:0]\n:SOCKETLAB-LINK - [0:0]\n-D FORWARD -j SOCKETLAB-LINK\n"
        "-X SOCKETLAB-DROPS\n-X SOCKETLAB-LINK\nCOMMIT\n"
    )
    assert tc.replacement("*mangle\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", {}) == ""


def test_a_direction_has_a_path_from_every_other_segment():
    assert THREE.directions == ("to-office", "to-dmz", "to-lab")
    assert tc.filter_rules(LinkSettings(cut=frozenset({"to-dmz"})), THREE)["mangle"] == [
        "-A SOCKETLAB-LINK -i eth0 -o eth1 -j DROP",
        "-A SOCKETLAB-LINK -i eth2 -o eth1 -j DROP",
    ]
