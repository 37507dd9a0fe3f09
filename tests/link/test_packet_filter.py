"""The settings of links, and partitions, as rules for iptables."""

import pytest

from lab.link import packet_filter as pf
from lab.link.partition import Partition
from lab.link.settings import Drop, Impairment, LinkSettings
from lab.link.traffic_control import Interfaces

WAYS = Interfaces({"office": "eth0", "dmz": "eth1"})
THREE = Interfaces({"office": "eth0", "dmz": "eth1", "lab": "eth2"})
TO_DMZ = LinkSettings({"to-dmz": Impairment(loss=0.1)})


def test_a_cut_comes_before_the_queue():
    link = LinkSettings(dict.fromkeys(WAYS.directions, Impairment(delay=0.1)), cut=frozenset({"to-office"}))
    assert pf.link_rules(link, WAYS, queues={"to-dmz": 4}) == [
        "-A SOCKETLAB-LINK -i eth1 -o eth0 -j DROP",
        "-A SOCKETLAB-LINK -i eth0 -o eth1 -j NFQUEUE --queue-num 4",
    ]
    assert pf.untracked(WAYS) == [f"-A SOCKETLAB-LINK -i {name} -j CT --notrack" for name in ("eth0", "eth1")]


def test_loss_becomes_a_statistic_rule():
    rules = pf.link_rules(TO_DMZ, WAYS, statistic=True)
    loss = "-A SOCKETLAB-LINK -i eth0 -o eth1 -m statistic --mode random --probability 0.100000000 -j DROP"
    assert rules == [loss]


def test_drop_rules_count_source_and_destination_port_together():
    drop = Drop((2, 5), port=8001, flags="SYN", direction="to-dmz")
    rules = pf.link_rules(LinkSettings(drops=(drop,)), WAYS)
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
    assert pf.replacement("", rules) == (
        "*mangle\n:SOCKETLAB-LINK - [0:0]\n-A FORWARD -j SOCKETLAB-LINK\n-A SOCKETLAB-LINK -j DROP\nCOMMIT\n"
    )
    assert pf.replacement(SAVED, rules) == (
        "*mangle\n:SOCKETLAB-DROPS - [0:0]\n:SOCKETLAB-LINK - [0:0]\n-A SOCKETLAB-LINK -j DROP\n"
        "-X SOCKETLAB-DROPS\nCOMMIT\n"
    )


def test_only_our_own_rules_are_removed():
    assert pf.replacement(SAVED, {}) == (
        "*mangle\n:SOCKETLAB-DROPS - [0:0]\n:SOCKETLAB-LINK - [0:0]\n-D FORWARD -j SOCKETLAB-LINK\n"
        "-X SOCKETLAB-DROPS\n-X SOCKETLAB-LINK\nCOMMIT\n"
    )
    assert pf.replacement("*mangle\n:FORWARD ACCEPT [0:0]\nCOMMIT\n", {}) == ""


def test_a_link_of_three_segments_has_rules_for_its_own_two_only():
    assert THREE.directions == ("to-office", "to-dmz", "to-lab")
    link = LinkSettings({"to-dmz": Impairment(rate=1e6, loss=0.1)}, cut=frozenset({"to-lab"}))
    rules = pf.link_rules(link, THREE.between(["lab", "dmz"]), queues={"to-dmz": 4}, shaped=["to-dmz"])
    assert rules == [
        "-A SOCKETLAB-LINK -i eth1 -o eth2 -j DROP",
        "-A SOCKETLAB-LINK -i eth2 -o eth1 -j CLASSIFY --set-class 1:3",
        "-A SOCKETLAB-LINK -i eth2 -o eth1 -j NFQUEUE --queue-num 4",
    ]


def test_a_line_that_has_its_interface_for_itself_needs_no_class():
    link = LinkSettings({"to-dmz": Impairment(rate=1e6)})
    assert pf.link_rules(link, WAYS, queues={}, shaped=["to-dmz"]) == []


def test_chains_that_count_are_named_by_their_request_and_stay():
    drops = pf.link_rules(LinkSettings(drops=(Drop((3,)),)), WAYS, tag="1a2b3c4d")
    assert {rule.split()[1] for rule in drops} == {
        "SOCKETLAB-LINK", "SOCKETLAB-DROPS-1a2b3c4d", "SOCKETLAB-DROP0-1a2b3c4d",
    }  # fmt: skip
    saved = "*mangle\n:SOCKETLAB-LINK - [0:0]\n:SOCKETLAB-DROPS-1a2b3c4d - [0:0]\nCOMMIT\n"
    changes = pf.replacement(saved, {"mangle": drops})
    assert "-A SOCKETLAB-LINK -j SOCKETLAB-DROPS-1a2b3c4d\n" in changes
    assert "-A SOCKETLAB-DROPS-1a2b3c4d" not in changes
    assert ":SOCKETLAB-DROPS-1a2b3c4d" not in changes
    assert "-A SOCKETLAB-DROP0-1a2b3c4d -m statistic" in changes


PARTITION = Partition((("10.1.0.10", "fd01::10"), ("10.2.0.10", "fd02::10"), ("10.3.0.10",)))


def test_a_partition_drops_packets_between_its_sets_by_address():
    assert pf.partition_rules(PARTITION, "1a2b3c4d", 4)[:4] == [
        "-A SOCKETLAB-LINK -j SOCKETLAB-CUT-1a2b3c4d",
        "-A SOCKETLAB-CUT-1a2b3c4d -s 10.1.0.10 -j SOCKETLAB-CUT-1a2b3c4d-0",
        "-A SOCKETLAB-CUT-1a2b3c4d-0 -d 10.2.0.10 -m comment --comment 1 -j DROP",
        "-A SOCKETLAB-CUT-1a2b3c4d-0 -d 10.3.0.10 -m comment --comment 2 -j DROP",
    ]
    six = pf.partition_rules(PARTITION, "1a2b3c4d", 6)
    assert [rule for rule in six if "DROP" in rule] == [
        "-A SOCKETLAB-CUT-1a2b3c4d-0 -d fd02::10 -m comment --comment 1 -j DROP",
        "-A SOCKETLAB-CUT-1a2b3c4d-1 -d fd01::10 -m comment --comment 0 -j DROP",
    ]


def test_a_one_way_partition_drops_packets_from_the_first_set_only():
    one_way = Partition(PARTITION.sets[:2], one_way=True)
    rules = pf.partition_rules(one_way, "1a2b3c4d", 4)
    assert [rule.split()[3] for rule in rules if "DROP" in rule] == ["10.2.0.10"]


CUT = """\
*mangle
:FORWARD ACCEPT [0:0]
[9:900] -A FORWARD -j SOCKETLAB-LINK
[9:900] -A SOCKETLAB-LINK -j SOCKETLAB-CUT-1a2b3c4d
[5:500] -A SOCKETLAB-CUT-1a2b3c4d -s 10.1.0.10/32 -j SOCKETLAB-CUT-1a2b3c4d-0
[0:0] -A SOCKETLAB-CUT-1a2b3c4d -s 10.2.0.10/32 -j SOCKETLAB-CUT-1a2b3c4d-1
[3:300] -A SOCKETLAB-CUT-1a2b3c4d-0 -d 10.2.0.10/32 -m comment --comment 1 -j DROP
[2:200] -A SOCKETLAB-CUT-1a2b3c4d-0 -d 10.2.0.11/32 -m comment --comment "1" -j DROP
[0:0] -A SOCKETLAB-CUT-1a2b3c4d-1 -d 10.1.0.10/32 -m comment --comment 0 -j DROP
COMMIT
"""


def test_dropped_packets_are_counted_by_set():
    assert pf.dropped_packets(CUT, "1a2b3c4d") == {(0, 1): 5, (1, 0): 0}
    assert pf.dropped_packets(CUT, "ffffffff") == {}


@pytest.mark.parametrize(
    "gone", ["-A FORWARD -j SOCKETLAB-LINK", "-A SOCKETLAB-LINK -j", "-d 10.2.0.11", "-s 10.2.0.10"]
)
def test_a_partition_is_in_force_while_all_its_rules_are_there(gone):
    sets = (("10.1.0.10",), ("10.2.0.10", "10.2.0.11"))
    rules = pf.partition_rules(Partition(sets), "1a2b3c4d", 4)
    whole = CUT.replace(
        "COMMIT", "[0:0] -A SOCKETLAB-CUT-1a2b3c4d -s 10.2.0.11/32 -j SOCKETLAB-CUT-1a2b3c4d-1\nCOMMIT"
    )
    assert pf.in_force(whole, rules)
    assert not pf.in_force("\n".join(line for line in whole.splitlines() if gone not in line), rules)
    assert pf.in_force("", [])
