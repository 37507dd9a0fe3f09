"""The sequence shows what passed, host by host, and doesn't hide what was lost."""

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest

from lab.evidence.packets.traffic import Traffic, load
from lab.evidence.sequence_diagram import sequence
from tests.evidence.forge import CAPTURES, NAMES, crossed, handshake, past, tcp, traffic, udp

RECORDED = Path(__file__).parent / "recorded"


def lines(shown, **options):
    return ["".join(span.text for span in spans).rstrip() for spans in sequence(shown, **options)]


def styles(shown):
    return {span.style for spans in sequence(shown) for span in spans}


def test_a_lane_for_each_node_in_the_order_of_the_path():
    heading = lines(traffic(handshake()))[0]
    assert heading.split() == ["kali", "router", "win10"]


def test_a_conversation_top_to_bottom():
    shown = lines(load(RECORDED / "healthy"))
    text = "\n".join(shown)
    assert shown[1].strip().startswith("0.000 │─ SYN → 8001 ─")
    assert text.index("SYN → 8001") < text.index("SYN ACK") < text.index("hello") < text.index("FIN ACK")
    assert "lost" not in text


def test_arrows_point_the_way_the_packet_went():
    there, back = lines(traffic(crossed(tcp(1.0, "S", 7)), crossed(tcp(1.1, "SA", 9, 8, back=True))))[1:]
    assert there.count("▶") == 2
    assert "◀" not in there
    assert back.count("◀") == 2
    assert "▶" not in back


def test_a_lost_packet_ends_at_the_router():
    (row,) = lines(traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "A", 8, 9))))[1:]
    assert (row.count("▶"), "✗ lost" in row) == (1, True)
    (row,) = lines(traffic(tcp(1.0, "SA", 7, back=True), crossed(tcp(2.0, "A", 8, 9))))[1:]
    assert (row.count("◀"), "✗ lost" in row) == (1, True)
    assert "lost" in styles(traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "A", 8, 9))))


def test_repetitions_and_copies_are_marked():
    packet = udp(3.0, ident=5)
    text = "\n".join(
        lines(traffic(tcp(1.0, "S", 7), crossed(tcp(2.0, "S", 7)), crossed(packet), past(packet, 0.1)))
    )
    assert text.count("again") == 1
    assert text.count("copy") == 1


def test_a_slow_link_shows_its_delay():
    assert "40 ms" in lines(traffic(crossed(tcp(1.0, "S", 7), 0.04)))[1]
    assert "ms" not in lines(traffic(crossed(tcp(1.0, "S", 7), 0.0001)))[1]


def test_data_in_a_row_is_one_arrow():
    packets = [
        p for n in range(50) for p in crossed(tcp(2 + n / 100, "PA", 1001 + 10 * n, length=10, ident=n + 1))
    ]
    shown = lines(traffic(handshake(), packets))
    assert len(shown) == 4
    assert "500 bytes in 50 packets" in shown[-1]


def test_data_after_a_break_is_an_arrow_of_its_own():
    header, body = tcp(2.0, "PA", 1001, length=4, ident=1), tcp(2.04, "PA", 1005, length=100, ident=2)
    text = "\n".join(lines(traffic(handshake(), crossed(header), crossed(body))))
    assert "in 2 packets" not in text
    assert "4 bytes" in text
    assert "100 bytes" in text


def test_the_same_many_times_is_one_arrow():
    resets = [crossed(tcp(2 + n / 1000, "R", 1001 + n, ident=n + 1)) for n in range(9)]
    back = crossed(tcp(2.1, "R", 5001, back=True))
    shown = lines(traffic(handshake(), *resets, back))
    assert len(shown) == 5
    assert "─ 9 × RST ─" in shown[-2]
    assert "─ RST ─" in shown[-1]


def test_a_lost_packet_is_never_put_together_with_others():
    packets = [tcp(2 + n / 100, "PA", 1001 + 10 * n, length=10, ident=n + 1) for n in range(9)]
    some = [packet if n == 4 else crossed(packet) for n, packet in enumerate(packets)]
    text = "\n".join(lines(traffic(handshake(), *some)))
    assert "40 bytes in 4 packets" in text
    assert text.count("✗ lost") == 1


def test_a_long_run_shows_its_ends_and_says_what_it_leaves_out():
    packets = [tcp(n, "S", 7, client=1000 + n) if n % 2 else crossed(udp(n, ident=n + 1)) for n in range(200)]
    shown = lines(traffic(*packets), rows=20)
    (gap,) = [line for line in shown if "lab trace" in line]
    assert "180 packets, 90 lost" in gap
    assert len(shown) == 22


def test_acknowledgements_and_neighbours_are_left_out():
    shown = traffic(handshake(), crossed(tcp(2.0, "A", 1001, 5001)))
    assert not any("ACK ─" in line and "SYN" not in line for line in lines(shown))


def test_what_a_capture_doesn_t_hold_is_said():
    shown = traffic(handshake())
    shown.captures["servers"] = type(CAPTURES[1])(
        "servers", "f", networks=CAPTURES[1].networks, cut=7, dropped=2
    )
    text = "\n".join(lines(shown))
    assert "servers: 7 packets were left out" in text
    assert "servers: 2 packets were dropped" in text


@pytest.mark.parametrize("width", [50, 80, 100, 200])
@pytest.mark.parametrize("text", ["hello", "我是客户端我是客户端我是客户端", "e\u0301" * 40, "\x1b[31mred"])
def test_every_line_fits_and_can_t_steer_the_terminal(width, text):
    shown = lines(traffic(crossed(udp(1.0, text.encode(), ident=1))), width=width)
    for line in shown:
        assert line.isprintable()
        assert sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in line) <= max(width, 48)


def test_nothing_passed_nothing_shown():
    assert sequence(Traffic([], CAPTURES, NAMES)) == []


def test_what_goes_nowhere_is_lost_and_the_other_side_has_its_lane():
    shown = lines(load(RECORDED / "no_route"))
    assert shown[0].split() == ["kali", "router", "win10"]
    assert "✗ lost" in shown[1]
    assert any("ICMP network unreachable" in line for line in shown)


@pytest.mark.parametrize("back", [False, True])
def test_what_stays_on_its_segment_ends_at_the_router(back):
    packet = udp(1.0, b"anybody?", ident=5, back=back)
    call = replace(packet, destination="255.255.255.255")
    (row,) = lines(traffic(call))[1:]
    assert "UDP 8 bytes" in row
    assert "lost" not in row
    left, right = row.split("│")[1:3]
    assert (right if back else left).count("◀" if back else "▶") == 1
    assert (left if back else right).strip() == ""
