"""Every frame becomes a packet, and lengths are those on the wire."""

import socket
from pathlib import Path

import dpkt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.evidence.packets import pcap
from lab.evidence.packets.packet import HEX_PREVIEW, TEXT_PREVIEW, decode, preview
from lab.evidence.packets.traffic import load

RECORDED = Path(__file__).parents[1] / "recorded"
KALI, WIN10 = socket.inet_aton("192.168.40.129"), socket.inet_aton("172.28.66.163")
KALI6 = socket.inet_pton(socket.AF_INET6, "fd28:40::129")
WIN106 = socket.inet_pton(socket.AF_INET6, "fd28:66::163")


def ipv4(protocol, data, source=KALI, destination=WIN10, **fields):
    packet = dpkt.ip.IP(src=source, dst=destination, p=protocol, ttl=63, id=7, data=data, **fields)
    packet.len = len(packet)
    return ethernet(0x0800, packet)


def ipv6(protocol, data):
    body = bytes(data)
    return ethernet(
        0x86DD, dpkt.ip6.IP6(src=KALI6, dst=WIN106, nxt=protocol, hlim=63, plen=len(body), data=body)
    )


def ethernet(kind, data):
    return bytes(dpkt.ethernet.Ethernet(src=b"a" * 6, dst=b"b" * 6, type=kind, data=data))


def seen(frame, size=None, snaplen=256):
    return decode(frame[:snaplen], 1.5, size or len(frame), "clients", 3)


def tcp(flags=dpkt.tcp.TH_PUSH | dpkt.tcp.TH_ACK, data=b"hello"):
    return dpkt.tcp.TCP(sport=40000, dport=8001, seq=11, ack=22, win=33, flags=flags, data=data)


def udp(data=b"hello"):
    return dpkt.udp.UDP(sport=3000, dport=2000, ulen=8 + len(data), data=data)


@pytest.mark.parametrize(("wrap", "source"), [(ipv4, "192.168.40.129"), (ipv6, "fd28:40::129")])
def test_tcp(wrap, source):
    packet = seen(wrap(6, tcp()))
    assert (packet.at, packet.segment, packet.number) == (1.5, "clients", 3)
    assert packet.flow[:3] == ("tcp", source, 40000)
    assert (packet.flags, packet.seq, packet.ack, packet.window) == ("PA", 11, 22, 33)
    assert (packet.length, packet.payload, packet.ttl) == (5, b"hello", 63)
    assert packet.label == "PSH ACK 5 bytes"


@pytest.mark.parametrize(("wrap", "destination"), [(ipv4, "172.28.66.163"), (ipv6, "fd28:66::163")])
def test_udp(wrap, destination):
    packet = seen(wrap(17, udp()))
    assert packet.flow[3:] == (destination, 2000)
    assert (packet.protocol, packet.length, packet.payload) == ("udp", 5, b"hello")


@pytest.mark.parametrize(
    ("bits", "label"),
    [
        (2, "SYN"),
        (18, "SYN ACK"),
        (16, "ACK"),
        (17, "FIN ACK"),
        (4, "RST"),
        (20, "RST ACK"),
        (0xC2, "SYN ECE CWR"),
    ],
)
def test_the_label_names_the_flags(bits, label):
    assert seen(ipv4(6, tcp(bits, b""))).label == label


@pytest.mark.parametrize("wrap", [ipv4, ipv6])
def test_a_truncated_packet_has_its_full_length(wrap):
    packet = seen(wrap(6, tcp(data=b"x" * 1400)), snaplen=256)
    assert packet.length == 1400
    assert 100 < len(packet.payload) < 256
    assert seen(wrap(17, udp(b"x" * 1400)), snaplen=256).length == 1400


def test_a_length_of_0_in_the_header_means_that_the_frame_s_size_counts():
    frame = bytearray(ipv4(6, tcp(data=b"x" * 300)))
    frame[16:18] = b"\0\0"
    assert seen(bytes(frame), size=14 + 20 + 20 + 100_000).length == 100_000


def test_fragments_of_ipv4():
    first = seen(ipv4(17, bytes(udp(b"x" * 72)), mf=1))
    later = seen(ipv4(17, b"y" * 80, offset=80 // 8))
    assert (first.protocol, first.fragment, first.more_fragments, first.dport) == ("udp", 0, True, 2000)
    assert (later.protocol, later.fragment, later.more_fragments) == ("ip", 80, False)
    assert later.length == 80
    assert later.ident == first.ident == 7
    assert seen(ipv4(17, udp())).fragment == -1


def test_fragments_of_ipv6():
    def fragment(offset, more, data):
        return ipv6(44, bytes([17, 0]) + ((offset << 3) | more).to_bytes(2) + (99).to_bytes(4) + data)

    first = seen(fragment(0, 1, bytes(udp(b"x" * 72))))
    later = seen(fragment(10, 0, b"y" * 40))
    assert (first.protocol, first.fragment, first.more_fragments, first.dport) == ("udp", 0, True, 2000)
    assert first.length == 72
    assert (later.protocol, later.fragment, later.ident, later.length) == ("ip", 80, 99, 40)


@pytest.mark.parametrize(("inner", "protocol"), [(tcp(), "tcp"), (udp(), "udp")])
def test_an_icmp_error_has_the_packet_that_it_quotes(inner, protocol):
    quoted = ipv4(6 if protocol == "tcp" else 17, inner)[14 : 14 + 28]
    error = dpkt.icmp.ICMP(type=3, code=3, data=dpkt.icmp.ICMP.Unreach(data=b""))
    packet = seen(ipv4(1, bytes(error)[:8] + quoted, source=WIN10, destination=KALI))
    assert (packet.label, packet.is_error) == ("ICMP port unreachable", True)
    assert packet.about.protocol == protocol
    assert packet.about.source == "192.168.40.129"
    assert (packet.about.sport, packet.about.dport) == ((40000, 8001) if protocol == "tcp" else (3000, 2000))


def test_an_icmpv6_error_has_the_packet_that_it_quotes():
    quoted = ipv6(17, udp())[14:]
    packet = seen(ipv6(58, bytes([1, 4, 0, 0, 0, 0, 0, 0]) + quoted))
    assert (packet.label, packet.is_error) == ("ICMP port unreachable", True)
    assert (packet.about.protocol, packet.about.dport) == ("udp", 2000)


def test_a_ping_isn_t_an_error():
    packet = seen(ipv4(1, dpkt.icmp.ICMP(type=8, data=dpkt.icmp.ICMP.Echo(id=1, seq=1, data=b"ping"))))
    assert (packet.label, packet.is_error) == ("ICMP echo request", False)


def test_arp():
    packet = seen(ethernet(0x0806, dpkt.arp.ARP(spa=KALI, tpa=WIN10)))
    assert (packet.protocol, packet.source, packet.destination) == ("arp", "192.168.40.129", "172.28.66.163")


@pytest.mark.parametrize("frame", [b"", b"short", ethernet(0x88CC, b"lldp"), ethernet(0x0800, b"\x45")])
def test_a_frame_without_ip_is_other(frame):
    assert seen(frame, size=60).protocol == "other"


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x08\x00\x45", b"\x86\xdd\x60", b"\x08\x06"]))
def test_decoding_never_fails(data, kind):
    frame = b"a" * 12 + kind + data
    assert decode(frame, 0.0, len(frame), "clients", 1).number == 1


@given(st.integers(0, 200), st.sampled_from([ipv4(6, tcp()), ipv6(17, udp()), ipv4(17, udp(), mf=1)]))
def test_a_frame_may_be_truncated_anywhere(end, frame):
    packet = decode(frame[:end], 0.0, len(frame), "clients", 1)
    assert packet.size == len(frame)
    assert packet.length <= len(frame)


# A captured payload, its length on the wire, and its preview; tests/browser tests the page's rule with them.
PREVIEWS = [
    (b"hello", 5, "“hello”"),
    (b"two\tand\r\n", 9, r"“two\tand\r\n”"),
    ("我是客户端".encode(), 15, "“我是客户端”"),
    ("我是客户端".encode()[:8], 15, "“我是”"),  # the capture cut the third character
    ("我是客户端".encode()[:8], 8, "e6 88 91 e6 …"),  # the sender did
    (b"x" * 100, 1000, f"“{'x' * TEXT_PREVIEW}”"),
    (b"\x05\0\0\0hello", 9, "05 00 00 00 …"),
    (b"5", 1, "“5”"),
    (b"\x05", 1, "05"),
    (b"hell\0", 5, "68 65 6c 6c …"),
    ("已连接到服务器".encode("gbk"), 14, "d2 d1 c1 ac …"),
    ("联通".encode("gbk"), 4, "c1 aa cd a8"),
    (b"\x7f", 1, "7f"),
    ("\x9b".encode(), 2, "c2 9b"),
    (b"\xe6", 900, "e6 …"),
    ("\u202etxt".encode(), 6, r"“\u202etxt”"),
    (b"", 0, ""),
    (b"", 1000, ""),  # nothing of it was captured
    (b"hi" + bytes(16), 2, "“hi”"),  # padding follows
]


@pytest.mark.parametrize(("payload", "length", "shown"), PREVIEWS)
def test_a_preview_quotes_text_and_shows_other_data_in_hexadecimal(payload, length, shown):
    assert preview(payload, length) == shown


@given(st.binary(max_size=40), st.integers(0, 80))
def test_a_preview_is_short_and_printable(payload, length):
    shown = preview(payload, length)
    assert shown.isprintable()
    assert len(shown) <= max(6 * TEXT_PREVIEW + 2, 3 * HEX_PREVIEW + 2)


def test_a_run_s_folder_is_read_back():
    traffic = load(RECORDED / "healthy")
    assert set(traffic.captures) == {"clients", "servers"}
    assert [c.name for c in traffic.captures.values() if not c.complete] == []
    (connection,) = traffic.connections(8001)
    assert (connection.client, connection.server, connection.handshake) == ("kali", "win10", "complete")
    for name in traffic.captures:
        assert len(list(pcap.read(RECORDED / "healthy" / f"{name}.pcapng"))) == traffic.captures[name].packets
