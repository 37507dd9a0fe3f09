"""The page's decoder, tested with frames made by dpkt and examples from RFCs."""

import random

import dpkt
import pytest

from tests.evidence.trace_runs import KALI, WIN10, Run

MACS = bytes(range(12))
SOURCE6, TARGET6 = (
    bytes.fromhex("fd280040" + "00" * 11 + "29"),
    bytes.fromhex("fd280066" + "00" * 10 + "0163"),
)


@pytest.fixture
def plain(show):
    return show(Run)


@pytest.fixture
def decode(plain):
    def decoded(frame):
        """[(title, note, {field: value})], the payload, and whether a header was cut."""
        found = plain.run("return decode(Uint8Array.from(arguments[0]))", list(frame))
        headers = [
            (h["title"], h["note"], {f["name"]: f["value"] for f in h["fields"]}) for h in found["headers"]
        ]
        start, end = found["payload"]
        return headers, frame[start:end], found["cut"]

    return decoded


def ethernet(packet, kind=dpkt.ethernet.ETH_TYPE_IP):
    return MACS + kind.to_bytes(2) + bytes(packet)


def ip4(layer, protocol, **fields):
    packet = dpkt.ip.IP(src=raw(KALI), dst=raw(WIN10), p=protocol, data=layer, **fields)
    packet.len = len(packet)
    return packet


def ip6(layer, protocol):
    header = (6 << 28).to_bytes(4) + len(bytes(layer)).to_bytes(2) + bytes([protocol, 64])
    return header + SOURCE6 + TARGET6 + bytes(layer)


def raw(address):
    return bytes(map(int, address.split(".")))


def test_tcp_with_options(decode):
    segment = dpkt.tcp.TCP(sport=43012, dport=8001, seq=7, ack=9, flags=0x12, data=b"")
    segment.opts = bytes.fromhex("020405b40402080a0000000100000002" + "0103030701050a0000000100000005")
    segment.opts += bytes(-len(segment.opts) % 4)
    segment.off = 5 + len(segment.opts) // 4
    headers, payload, cut = decode(ethernet(ip4(segment, 6)) + b"")
    assert [title for title, *_ in headers] == ["Ethernet", "IPv4", "TCP"]
    assert headers[2][1] == "43012 → 8001  ACK SYN"
    assert headers[2][2]["header length, flags"] == f"{segment.off * 4} bytes, ACK SYN"
    assert (payload, cut) == (b"", False)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("020405b4", "maximum segment size 1460"),
        ("03030701", "window scale 7 (× 128)"),
        ("04020101", "SACK permitted"),
        ("080a0000000100000002" + "0101", "timestamps 1, echo 2"),
        ("050a0000000100000005" + "0101", "SACK 1–5"),
        ("fe04abcd", "kind 254: ab cd"),
    ],
)
def test_each_tcp_option_in_words(plain, option, words):
    segment = dpkt.tcp.TCP(sport=1, dport=2, flags=2)
    segment.opts = bytes.fromhex(option)
    segment.off = 5 + len(segment.opts) // 4
    frame = ethernet(ip4(segment, 6))
    found = plain.run("return decode(Uint8Array.from(arguments[0])).headers[2]", list(frame))
    assert words in [field["value"] for field in found["fields"]]


def test_padding_isn_t_payload(decode):
    datagram = dpkt.udp.UDP(sport=3000, dport=2000, ulen=10, data=b"hi")
    frame = ethernet(ip4(datagram, 17))
    headers, payload, _ = decode(frame + bytes(60 - len(frame)))
    assert headers[2][1] == "3000 → 2000"
    assert headers[2][2]["length"] == "10 bytes"
    assert payload == b"hi"


def test_ipv6(decode):
    datagram = dpkt.udp.UDP(sport=3000, dport=2000, ulen=10, data=b"hi")
    headers, payload, _ = decode(ethernet(ip6(datagram, 17), dpkt.ethernet.ETH_TYPE_IP6))
    assert headers[1][0] == "IPv6"
    assert headers[1][1] == "fd28:40::29 → fd28:66::163"
    assert payload == b"hi"


def test_an_ipv6_fragment(decode):
    piece = bytes([17, 0]) + (1480 | 1).to_bytes(2) + (77).to_bytes(4) + b"rest"
    headers, payload, _ = decode(ethernet(ip6(piece, 44), dpkt.ethernet.ETH_TYPE_IP6))
    assert headers[-1][0] == "IPv6 Fragment"
    assert headers[-1][2]["offset, more"] == "offset 1480, more fragments"
    assert payload == b"rest"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("fd280040000000000000000000000129", "fd28:40::129"),
        ("00000000000000000000000000000001", "::1"),
        ("00000000000000000000000000000000", "::"),
        ("20010db8000000010000000000000001", "2001:db8:0:1::1"),
        ("20010db8000100010001000100010000", "2001:db8:1:1:1:1:1:0"),
        ("fe800000000000000000000000000000", "fe80::"),
        ("20010db8000000000001000000000001", "2001:db8::1:0:0:1"),
    ],
)
def test_ipv6_addresses_are_shortened_as_rfc_5952_says(plain, address, shown):
    assert plain.run("return ip6(Uint8Array.from(arguments[0]))", list(bytes.fromhex(address))) == shown


def test_a_later_ipv4_fragment_has_no_ports(decode):
    headers, payload, _ = decode(ethernet(ip4(b"some more bytes", 17, _flags_offset=0x2000 | 185)))
    assert headers[1][2]["flags, fragment offset"] == "more fragments; offset 1480"
    assert headers[2][0] == "a later fragment"
    assert payload == b"some more bytes"


def test_an_icmp_error_shows_the_packet_it_is_about(decode):
    lost = ip4(dpkt.udp.UDP(sport=3000, dport=2000, ulen=10, data=b"hi"), 17)
    error = bytes([3, 3, 0, 0, 0, 0, 0, 0]) + bytes(lost)
    headers, _, _ = decode(ethernet(ip4(error, 1)))
    assert headers[2][:2] == ("ICMP", "port unreachable")
    assert [title for title, *_ in headers[3:]] == [f"the packet it is about: {t}" for t in ("IPv4", "UDP")]
    assert headers[4][2]["destination port"] == "2000"


def test_fragmentation_needed_has_the_next_hop_mtu(decode):
    error = bytes([3, 4, 0, 0, 0, 0, 5, 220]) + bytes(ip4(b"", 17))
    headers, _, _ = decode(ethernet(ip4(error, 1)))
    assert headers[2][1] == "fragmentation needed"
    assert headers[2][2]["unused, next-hop MTU"] == "1500"


def test_a_ping(decode):
    headers, payload, _ = decode(ethernet(ip4(bytes([8, 0, 0, 0, 0, 7, 0, 1]) + b"ping", 1)))
    assert headers[2][1] == "echo request"
    assert headers[2][2] | {"checksum": ""} == {
        "type": "echo request (8)", "code": "0", "checksum": "", "identifier": "7",
        "sequence number": "1",
    }  # fmt: skip
    assert payload == b"ping"


def test_arp(decode):
    request = bytes.fromhex("0001080006040001") + MACS[6:] + raw(KALI) + bytes(6) + raw("192.168.40.2")
    headers, _, _ = decode(ethernet(request, dpkt.ethernet.ETH_TYPE_ARP))
    assert headers[1][1] == "who has 192.168.40.2? tell 192.168.40.129"


@pytest.mark.parametrize("kept", [*range(0, 74, 3), 60])
def test_a_packet_cut_anywhere_is_decoded_up_to_there(decode, kept):
    segment = dpkt.tcp.TCP(sport=1, dport=2, flags=2, data=b"payload")
    segment.opts = bytes.fromhex("020405b40402080a0000000100000000" + "01030307")
    segment.off = 10
    frame = ethernet(ip4(segment, 6))
    headers, payload, cut = decode(frame[:kept])
    assert cut == (kept < 74)
    assert len(headers) == (1 if kept < 14 else 2 if kept < 34 else 3)
    assert payload == frame[74:kept]


@pytest.mark.parametrize("seed", range(20))
def test_random_bytes_do_no_harm(decode, seed):
    chance = random.Random(seed)
    for kind in (0x0800, 0x86DD, 0x0806, 0x8100, 0x1234):
        decode(MACS + kind.to_bytes(2) + chance.randbytes(chance.randrange(120)))
