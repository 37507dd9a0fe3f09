"""The sequence diagram shows the packets between the nodes, marks lost ones, and counts omitted ones."""

from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from lab.evidence.diagram.terminal import sequence
from lab.evidence.packets.traffic import Traffic, load
from tests.evidence.forge import CAPTURES, NAMES, crossed, handshake, past, tcp, traffic, udp
from tests.evidence.office_run import HOSTS, OfficeRun, office

RECORDED = Path(__file__).parents[1] / "recorded"


def lines(shown, **options):
    return ["".join(span.text for span in spans).rstrip() for spans in sequence(shown, **options)]


def arrows(shown, **options):
    """The lines between the heading and the notes."""
    return [line for line in lines(shown, **options)[1:] if "│" in line]


def styles(shown):
    return {span.style for spans in sequence(shown) for span in spans}


def test_the_lanes_are_in_the_order_of_the_path():
    heading = lines(traffic(handshake()))[0]
    assert heading.split() == ["kali", "router", "win10"]


def test_packets_are_in_the_order_of_time():
    shown = lines(load(RECORDED / "healthy"))
    text = "\n".join(shown)
    assert shown[1].strip().startswith("0.000 │─ SYN → 8001 ─")
    assert text.index("SYN → 8001") < text.index("SYN ACK") < text.index("hello") < text.index("FIN ACK")
    assert "lost" not in text


def test_arrows_point_in_the_direction_of_the_packet():
    there, back = lines(traffic(crossed(tcp(1.0, "S", 7)), crossed(tcp(1.1, "SA", 9, 8, back=True))))[1:]
    assert there.count("▶") == 2
    assert "◀" not in there
    assert back.count("◀") == 2
    assert "▶" not in back


def test_a_lost_packet_ends_at_the_router():
    (row,) = arrows(traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "A", 8, 9))))
    assert (row.count("▶"), "✗ lost" in row) == (1, True)
    (row,) = arrows(traffic(tcp(1.0, "SA", 7, back=True), crossed(tcp(2.0, "A", 8, 9))))
    assert (row.count("◀"), "✗ lost" in row) == (1, True)
    assert "lost" in styles(traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "A", 8, 9))))


def test_repetitions_and_copies_are_marked():
    packet = udp(3.0, ident=5)
    text = "\n".join(
        lines(traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "S", 7)), crossed(packet), past(packet, 0.1)))
    )
    assert text.count("again") == 1
    assert text.count("copy") == 1


def test_in_chinese_the_words_are_chinese_and_the_lanes_stay_in_line():
    packet = udp(3.0, ident=5)
    shown = traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "S", 7)), crossed(packet), past(packet, 0.1))
    chinese = arrows(shown, language="zh-CN")
    assert all(word in "".join(chinese) for word in ("丢失", "重传", "副本"))
    bars = {cell_len(line.rpartition("│")[0]) for line in chinese}
    assert bars == {cell_len(line.rpartition("│")[0]) for line in arrows(shown)}
    assert len(bars) == 1


def test_a_slow_link_shows_its_delay():
    assert "40 ms" in lines(traffic(crossed(tcp(1.0, "S", 7), 0.04)))[1]
    assert "ms" not in lines(traffic(crossed(tcp(1.0, "S", 7), 0.0001)))[1]


def test_consecutive_data_is_one_arrow():
    packets = [
        p for n in range(50) for p in crossed(tcp(2 + n / 100, "PA", 1001 + 10 * n, length=10, ident=n + 1))
    ]
    shown = arrows(traffic(handshake(), packets))
    assert len(shown) == 3
    assert "500 bytes in 50 packets" in shown[-1]


def test_data_after_a_pause_is_another_arrow():
    header, body = tcp(2.0, "PA", 1001, length=4, ident=1), tcp(2.04, "PA", 1005, length=100, ident=2)
    text = "\n".join(lines(traffic(handshake(), crossed(header), crossed(body))))
    assert "in 2 packets" not in text
    assert "4 bytes" in text
    assert "100 bytes" in text


def test_repeated_packets_are_one_arrow():
    resets = [crossed(tcp(2 + n / 1000, "R", 1001 + n, ident=n + 1)) for n in range(9)]
    back = crossed(tcp(2.1, "R", 5001, back=True))
    shown = arrows(traffic(handshake(), *resets, back))
    assert len(shown) == 4
    assert "─ 9 × RST ─" in shown[-2]
    assert "─ RST ─" in shown[-1]


def test_a_lost_packet_is_never_merged_with_others():
    packets = [tcp(2 + n / 100, "PA", 1001 + 10 * n, length=10, ident=n + 1) for n in range(9)]
    some = [packet if n == 4 else crossed(packet) for n, packet in enumerate(packets)]
    text = "\n".join(lines(traffic(handshake(), *some)))
    assert "40 bytes in 4 packets" in text
    assert text.count("✗ lost") == 1


def test_a_long_run_shows_its_ends_and_counts_the_rest():
    packets = [tcp(n, "S", 7, client=1000 + n) if n % 2 else crossed(udp(n, ident=n + 1)) for n in range(200)]
    shown = lines(traffic(*packets), rows=20)
    (gap,) = [line for line in shown if "lab trace" in line]
    assert "180 packets, 90 lost" in gap
    assert len(shown) == 22


def pure_acks(shown, **options):
    return [line for line in arrows(shown, **options) if "ACK ─" in line and "SYN" not in line]


def test_pure_acks_are_left_out_and_counted():
    shown = traffic(handshake(), crossed(tcp(2.0, "A", 1001, 5001)))
    assert pure_acks(shown) == []
    assert lines(shown)[-1].strip() == "2 pure ACKs are not shown; --acks shows them"
    assert lines(shown, until=1.9)[-1].strip() == "1 pure ACK is not shown; --acks shows it"
    assert sequence(shown)[-1][0].style == "dim"


def test_pure_acks_are_shown_on_request():
    shown = traffic(handshake(), crossed(tcp(2.0, "A", 1001, 5001)))
    assert len(pure_acks(shown, acks=True)) == 2
    assert "not shown" not in "".join(lines(shown, acks=True))


def test_there_is_no_note_if_nothing_is_omitted():
    assert "ACK" not in lines(traffic(crossed(tcp(1.0, "S", 7))))[-1]


@pytest.mark.parametrize(
    ("payload", "label"),
    [
        (b"hello", "5 bytes “hello” ─"),
        ("我是客户端".encode(), "15 bytes “我是客户端” ─"),
        (b"\5\0\0\0hello", "9 bytes 05 00 00 00 … ─"),
        ("中".encode("gbk"), "2 bytes d6 d0 ─"),
    ],
)
def test_a_payload_is_quoted_only_if_it_is_text(payload, label):
    packet = tcp(1.0, "PA", 1, length=len(payload), payload=payload)
    assert label in arrows(traffic(crossed(packet)))[0]


def test_packets_missing_from_a_capture_are_counted():
    shown = traffic(handshake())
    shown.captures["servers"] = type(CAPTURES[1])(
        "servers", "f", networks=CAPTURES[1].networks, cut=7, dropped=2
    )
    text = "\n".join(lines(shown))
    assert "servers: 7 packets were captured but not kept" in text
    assert "servers: 2 packets were dropped" in text


@pytest.mark.parametrize("width", [50, 80, 100, 200])
@pytest.mark.parametrize(
    "text", ["hello", "我是客户端我是客户端我是客户端", "e\u0301" * 40, "\x1b[31mred", "👩‍👩‍👧" * 9]
)
def test_every_line_fits_and_has_no_control_characters(width, text):
    shown = lines(traffic(crossed(udp(1.0, text.encode(), ident=1))), width=width)
    for line in shown:
        assert line.isprintable()
        assert cell_len(line) <= max(width, 48)


def test_without_packets_there_is_no_diagram():
    assert sequence(Traffic([], CAPTURES, NAMES)) == []


def test_a_packet_to_an_unknown_address_is_lost_and_every_node_has_its_lane():
    shown = lines(load(RECORDED / "no_route"))
    assert shown[0].split() == ["kali", "router", "win10"]
    assert "✗ lost" in shown[1]
    assert any("ICMP network unreachable" in line for line in shown)


@pytest.mark.parametrize("back", [False, True])
def test_a_packet_that_stays_on_its_segment_ends_at_the_router(back):
    packet = udp(1.0, b"anybody?", ident=5, back=back)
    call = replace(packet, destination="255.255.255.255")
    (row,) = lines(traffic(call))[1:]
    assert "UDP 8 bytes" in row
    assert "lost" not in row
    left, right = row.split("│")[1:3]
    assert (right if back else left).count("◀" if back else "▶") == 1
    assert (left if back else right).strip() == ""


# --- many nodes --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def eight(tmp_path_factory):
    """The traffic of eight hosts and three routers."""
    return load(office(tmp_path_factory.mktemp("office") / "run").save())


def column(line, name, heading):
    """The place of a lane in a line: that of its name in the heading."""
    place = heading.index(name)
    return line[place]


def test_every_node_that_takes_part_has_a_lane(eight):
    shown = lines(eight, width=200)
    assert shown[0].split() == ["alice", "edge", "core", "db", "dns", "web", "branch", "dave"]
    assert shown[-1].strip() == "without a column: bob, carol, erin; --nodes selects columns"


def test_an_arrow_has_a_head_at_each_node_and_passes_the_others(eight):
    heading, *rest = lines(eight, width=200)
    syn = next(line for line in rest if "SYN → 80" in line)
    assert syn.count("▶") == 3
    assert [column(syn, name, heading) for name in ("alice", "edge", "core", "db", "dns", "web")] == [
        "│", "│", "│", "┼", "┼", "│",
    ]  # fmt: skip


def test_a_packet_that_turns_round_goes_on_in_a_second_line(eight):
    shown = lines(eight, width=200)
    first = next(number for number, line in enumerate(shown) if "SYN → 6379" in line)
    assert shown[first].count("◀") == 2
    assert shown[first + 1].count("▶") == 1
    assert "─ ↳ SYN → 6379 ─" in shown[first + 1]


def test_the_delay_of_each_router_stands_behind_it(eight):
    shown = lines(eight, width=200)
    first = next(number for number, line in enumerate(shown) if "40 ms" in line)
    assert "◀" in shown[first]
    assert "↳ 20 ms, UDP 14 bytes" in shown[first + 1]


def test_a_packet_is_lost_at_its_router(eight):
    heading, *rest = lines(eight, width=200)
    lost = next(line for line in rest if "✗ lost" in line)
    assert lost.index("✗ lost") + len("✗ lost ") == heading.index("branch")
    assert column(lost, "branch", heading) == "│"
    assert lost[heading.index("branch") + 1] == "◀"


def test_a_packet_that_is_lost_on_the_segment_leaves_its_router(tmp_path):
    run = OfficeRun(tmp_path / "run")
    run.datagram(0.1, HOSTS["dave"], HOSTS["web"], (1000, 514), b"x", lost_at="core")
    run.frames["backbone@core"].clear()
    (row,) = arrows(load(run.save()))
    assert "✗ lost ──│◀───" in row


def test_a_packet_that_is_lost_at_a_folded_node_ends_between_the_lanes(eight):
    row = next(line for line in arrows(eight, nodes=("dave", "web")) if "✗ lost" in line)
    assert row.endswith("│   UDP 14 bytes → 51… ✗ lost ─│")


def test_a_packet_that_is_lost_at_the_last_lane_says_so_at_its_arrow():
    (row,) = arrows(traffic(tcp(1.0, "S", 7)), nodes=("kali", "router", "win10"))
    assert "▶│ ✗ lost" in row
    unknown = replace(tcp(1.0, "S", 7), destination="192.0.2.99")
    (row,) = arrows(traffic(unknown), nodes=("kali", "router"))
    assert "─ SYN → 8001 ✗ lost ─" in row


def test_a_translated_address_is_shown_once_in_each_direction(eight):
    shown = "\n".join(lines(eight, width=250))
    assert shown.count("NAT 172.28.0.2:40000") == 1
    assert shown.count("NAT 10.1.0.10:40000") == 1


def test_the_chosen_nodes_have_lanes_and_the_note_counts_the_packets_of_the_others(eight):
    shown = lines(eight, nodes=("web", "alice"))
    assert shown[0].split() == ["alice", "web"]
    syn = next(line for line in shown if "SYN → 80" in line)
    assert syn.count("▶") == 1
    assert "14 packets aren't shown" in " ".join(line.strip() for line in shown)


def test_nodes_without_packets_between_them_leave_only_the_note(eight):
    heading, note = lines(eight, nodes=("bob", "carol"), width=200)
    assert heading.split() == ["bob", "carol"]
    assert "22 packets aren't shown" in note


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 120, 160, 240])
def test_a_diagram_is_never_wider_than_the_terminal(eight, width):
    shown = lines(eight, width=width)
    assert all(cell_len(line) <= width for line in shown)
    assert len(shown) > 4


def test_without_room_the_lanes_are_folded_without_which_most_arrows_stay(eight):
    names = {width: lines(eight, width=width)[0].split() for width in (160, 100, 80, 62)}
    assert len(names[160]) == 8
    assert names[100] == ["alice", "core", "db", "web", "branch", "dave"]
    assert names[80] == ["alice", "db", "web", "dave"]
    assert len(names[62]) == 3


def test_many_folded_nodes_are_counted(eight):
    names = eight.names | {f"10.1.0.{100 + number}": f"idle-{number}" for number in range(40)}
    crowd = Traffic(eight.packets, eight.captures.values(), names, eight.topology)
    assert "idle-5, 35 more; --nodes" in " ".join(line.strip() for line in lines(crowd, width=200)[-2:])
