"""The page of a run as a file: its data, the notes on missing data, and its safety."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser

import pytest
from babel.messages.extract import extract_javascript

from lab.evidence import trace
from lab.evidence.diagnosis.diagnose import Diagnosis
from lab.evidence.events import FaultChanged, LinkChanged, LinkMeasured
from lab.evidence.packets import pcap
from lab.evidence.packets.traffic import load
from lab.evidence.trace import heading, packet_bytes, packet_columns, render, timeline
from lab.evidence.trace.page import collect
from lab.link.settings import LinkSettings
from lab.locale import message
from tests.evidence.office_run import office
from tests.evidence.trace_runs import KALI, STARTED, WIN10, Run, hello, long, lossy


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "tcp-hello" / "2026-11-18T11-06-40.000Z"


def notes(page):
    return "\n".join(map(str, page.notes))


def kept_bytes(page, index, second=0):
    """A packet's bytes, found as data.js finds them."""
    packets = page.run["packets"]
    before = [n for kept in packets["kept"][:index] for n in kept] + packets["kept"][index][:second]
    start = sum(-(-(kept or 0) // 3) * 3 for kept in before)
    length = packets["kept"][index][second]
    return base64.b64decode(page.bytes[start // 3 * 4 : -(-(start + length) // 3) * 4])[:length]


# --- packets -----------------------------------------------------------------------------------------


def test_packets_have_routes_times_and_nodes(folder):
    run = collect(hello(folder).save()).run
    packets = run["packets"]
    titles = [node["title"] for node in run["nodes"]]
    assert titles == ["kali", "router", "win10"]
    assert [node["role"] for node in run["nodes"]] == ["host", "router", "host"]
    there, back = ([[0, 1, 0, 0], [1, 2, 1, 1]], [[2, 1, 0, 0], [1, 0, 1, 1]])
    assert [way["legs"] for way in run["ways"]] == [there, back]
    assert packets["way"] == [0, 1, 0, 0, 1, 1, 0, 1, 0, 1]
    assert packets["seen"][:2] == [[510_000, 510_030], [510_110, 510_140]]
    assert (titles[packets["source"][1]], titles[packets["target"][1]]) == ("win10", "kali")
    assert run["labels"][packets["label"][0]] == "SYN"
    assert packets["size"][3] == 15
    assert run["connections"] == ["TCP kali:43012 → win10:8001"]
    assert set(packets["connection"]) == {0}


def test_every_column_has_every_packet(folder):
    packets = collect(lossy(folder).save()).run["packets"]
    assert {len(column) for column in packets.values()} == {65}


def test_both_sightings_of_a_packet_are_kept(folder):
    page = collect(hello(folder).save())
    clients = [frame.data for frame in pcap.read(folder / "clients.pcapng")]
    servers = [frame.data for frame in pcap.read(folder / "servers.pcapng")]
    assert kept_bytes(page, 0) == clients[0]
    assert kept_bytes(page, 0, second=1) == servers[0]
    assert kept_bytes(page, 1) == servers[1]
    assert notes(page) == ""


def test_a_lost_packet_and_its_retransmission_are_marked(folder):
    run = collect(lossy(folder).save()).run
    packets = run["packets"]
    assert packets["marks"][:3] == [
        packet_columns.LOST, packet_columns.LOST | packet_columns.RETRANSMITTED, packet_columns.RETRANSMITTED,
    ]  # fmt: skip
    assert len(packets["seen"][0]) == 1
    lost = run["ways"][packets["way"][0]]
    assert (lost["legs"], lost["lost"]) == ([[0, 1, 0, 0]], 1)
    assert packets["seen"][2][1] == 2_470_100
    assert packets["marks"][-1] == packet_columns.RESET


def test_a_duplicate_and_a_corrupted_packet_are_marked(folder):
    run = Run(folder)
    run.udp(0.1, (3000, 2000), b"once")
    run.seen("servers", 0.2, run.frames["servers"][0].data)
    run.udp(0.3, (3000, 2000), b"whole")
    changed = bytearray(run.frames["servers"].pop().data)
    changed[-1] ^= 1
    run.seen("servers", 0.31, bytes(changed))
    page = collect(run.save())
    assert sorted(page.run["packets"]["marks"]) == [0, packet_columns.DUPLICATE, packet_columns.CHANGED]
    assert kept_bytes(page, 2, second=1) == bytes(changed)


def test_a_packet_captured_past_the_router_only_is_marked(folder):
    run = hello(folder)
    run.frames["clients"] = [f for f in run.frames["clients"] if f.at > STARTED + 0.511]
    found = collect(run.save()).run
    way = found["ways"][found["packets"]["way"][0]]
    assert found["packets"]["marks"][0] == packet_columns.UNSENT
    assert (way["legs"], way["unsent"], found["packets"]["seen"][0]) == ([[1, 2, 0, 0]], True, [510_030])


def test_a_reused_port_is_another_connection(folder):
    run = Run(folder)
    for number in range(3):
        run.tcp(number, (40000, 80), "S", 1000 * number)
        run.tcp(number + 0.1, (40000, 80), "RA", 0, 1000 * number + 1, back=True)
    found = collect(run.save()).run
    assert found["packets"]["connection"] == [0, 0, 1, 1, 2, 2]
    assert len(found["connections"]) == 3


def test_an_icmp_error_belongs_to_the_connection_that_it_quotes(folder):
    run = Run(folder)
    run.udp(0.1, (3000, 2000), b"anybody?")
    quoted = run.frames["servers"][0].data[14 : 14 + 28]
    run.ip(0.11, bytes([3, 3, 0, 0, 0, 0, 0, 0]) + quoted, 1, back=True, delay=0.00002)
    found = collect(run.save()).run
    assert found["packets"]["connection"] == [0, 0]
    assert found["protocols"] == ["UDP", "ICMP"]


def test_address_resolution_is_marked_and_has_no_connection(folder):
    run = Run(folder)
    request = "ffffffffffff0242c0a82881080600010800060400010242c0a82881c0a82881000000000000c0a82802"
    run.udp(0.1, (3000, 2000), b"so that its Ethernet address is known")
    run.seen("clients", 0.2, bytes.fromhex(request))
    found = collect(run.save()).run
    assert found["packets"]["marks"] == [0, packet_columns.CHORE]
    assert found["ways"][found["packets"]["way"][1]]["legs"] == [[0, 1, 0, 0]]
    assert found["packets"]["connection"] == [0, None]
    assert found["nodes"][found["packets"]["source"][1]]["title"] == "kali"


# --- limits ------------------------------------------------------------------------------------------


def test_bytes_past_the_limit_are_cut_and_a_note_says_so(folder, monkeypatch):
    monkeypatch.setattr(packet_bytes, "MAX_BYTES", 100_000)
    page = collect(long(folder, 800).save())
    assert len(page.bytes) < 100_000 * 4 / 3 + 4 * 801
    assert "of 400 packets this page has only the first bytes" in notes(page)
    first = [kept[0] for kept in page.run["packets"]["kept"]]
    assert min(first) == 54  # an ACK is whole
    assert max(first) >= packet_bytes.LEAST
    assert {later for kept in page.run["packets"]["kept"] for later in kept[1:]} == {None}


def test_of_very_many_packets_the_first_and_the_last_are_kept(folder, monkeypatch):
    monkeypatch.setattr(packet_columns, "MAX_PACKETS", 100)
    page = collect(long(folder, 400).save())
    assert len(page.run["packets"]["seen"]) == 100
    assert "300 packets in the middle of the run are only in the captures" in notes(page)
    whole = load(folder).transits
    last = max(page.run["packets"]["seen"][-1])
    assert last == round((max(whole[-1].sent.at, whole[-1].arrived.at) - STARTED) * 1e6)


def test_the_middle_of_long_output_is_left_out_and_a_note_says_so(folder):
    run = Run(folder)
    for number in range(2 * timeline.MAX_LINES):
        run.print(number / 1000, "kali", f"line {number}", 1)
    run.print(2, "kali", "x" * 10_000, 2)
    page = collect(run.save())
    said = [row["text"] for row in page.run["events"]]
    assert len(said) == timeline.MAX_LINES + 1
    assert (said[0], said[-2]) == ("line 0", f"line {2 * timeline.MAX_LINES - 1}")
    assert said[-1].endswith("… (10,000 characters)")
    assert f"{timeline.MAX_LINES} lines of output are only in the folder output/" in notes(page)


def test_an_incomplete_capture_is_noted(folder):
    run = hello(folder)
    run.record["captures"] = [
        {
            "name": "clients",
            "file": "clients.pcapng",
            "networks": ["192.168.40.0/24"],
            "router": [],
            "cut": 7,
        },
        {
            "name": "servers",
            "file": "servers.pcapng",
            "networks": ["172.28.66.0/24"],
            "router": [],
            "dropped": 3,
        },
    ]
    said = notes(collect(run.save()))
    assert "the capture of clients isn't complete (7 packets were seen and not kept)" in said
    assert "the capture of servers isn't complete (the kernel dropped 3 packets)" in said


def test_an_inexact_clock_is_noted(folder):
    run = hello(folder)
    run.record["clocks"] = {"win10": {"offset": 1.0, "uncertainty": 0.004}, "kali": {"uncertainty": 0.0}}
    assert notes(collect(run.save())) == "times of win10 are known to 4.0 ms only"


# --- sockets, faults, the link -----------------------------------------------------------------------


def test_each_state_of_a_socket_has_a_start_and_an_end(folder):
    page = collect(hello(folder).save())
    client = [row for row in page.run["sockets"] if row["local"] == f"{KALI}:43012"]
    assert [(row["state"], row["from"], row["to"]) for row in client] == [
        ("SYN_SENT", 510_100, 510_400),
        ("ESTABLISHED", 510_400, 512_600),
    ]
    assert {row["connection"] for row in client} == {0}
    assert {row["owner"] for row in client} == {"python3 (41)"}
    left = next(row for row in page.run["sockets"] if row["state"] == "TIME_WAIT")
    assert left["to"] == page.run["duration"]


def test_a_socket_that_lingers_from_before_the_run_is_left_out(folder):
    run = hello(folder)
    run.socket(0.1, "kali", 8, "TIME_WAIT", f"{KALI}:40001", f"{WIN10}:8001")
    run.socket(0.6, "kali", 9, "TIME_WAIT", f"{KALI}:43012", f"{WIN10}:8001")
    rows = collect(run.save()).run["sockets"]
    assert [row["local"] for row in rows if row["state"] == "TIME_WAIT" and row["node"] == 0] == [
        f"{KALI}:43012"
    ]


def test_a_fault_lasts_until_it_is_healed_or_to_the_end_of_the_run(folder):
    run = Run(folder, {"seconds": 9})
    run.add(FaultChanged, 1, "win10", "power cut", "begin")
    run.add(FaultChanged, 2, "kali", "paused", "begin")
    run.add(FaultChanged, 3, "win10", "power cut", "end")
    page = collect(run.save())
    bands = [(str(band["text"]), band["from"], band["to"]) for band in page.run["bands"]]
    assert bands == [("power cut", 1_000_000, 3_000_000), ("paused", 2_000_000, 9_000_000)]


def test_a_setting_of_the_link_lasts_until_the_next(folder):
    run = Run(folder, {"seconds": 9})
    for at, asked in ((1, {"to-servers": {"loss": 0.1}}), (2, {"cut": ["to-servers"]}), (3, {})):
        run.add(LinkChanged, at, "router", LinkSettings.from_json(asked))
    run.add(LinkMeasured, 4, "router", {})
    page = collect(run.save())
    bands = [(band["kind"], band["from"], band["to"]) for band in page.run["bands"]]
    assert bands == [("link", 1_000_000, 2_000_000), ("fault", 2_000_000, 3_000_000)]
    assert [row.get("band", False) for row in page.run["events"]] == [True, True, False, False]


def test_settings_of_two_links_of_a_router_are_independent(folder):
    run = Run(folder, {"seconds": 9})
    slow = LinkSettings.from_json({"to-dmz": {"delay": 0.1}})
    run.add(LinkChanged, 1, "router", slow, "nfqueue", "office–dmz")
    run.add(LinkChanged, 2, "router", slow, "nfqueue", "lab–dmz")
    run.add(LinkChanged, 3, "router", LinkSettings(), "", "office–dmz")
    page = collect(run.save())
    bands = [(str(band["text"]), band["from"], band["to"]) for band in page.run["bands"]]
    assert bands == [
        ("office–dmz link: to-dmz: 100 ms", 1_000_000, 3_000_000),
        ("lab–dmz link: to-dmz: 100 ms", 2_000_000, 9_000_000),
    ]


# --- the file ----------------------------------------------------------------------------------------


class Elements(HTMLParser):
    """Start tags with their attributes, and what stands in scripts and styles."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self._within = [], {}, ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._within = tag

    def handle_endtag(self, tag):
        self._within = ""

    def handle_data(self, data):
        self.texts.setdefault(self._within, []).append(data)


def test_nothing_is_loaded_from_anywhere(folder):
    text = trace.write(lossy(folder).save()).read_text()
    elements = Elements(text)
    loads = [(tag, a) for tag, a in elements.tags if {"src", "href", "action", "data", "poster"} & a.keys()]
    assert loads == [("link", {"rel": "icon", "href": "data:,"})]
    assert not re.search(
        r"https?:|url\(|@import|\bimport\(|fetch\(|XMLHttpRequest|WebSocket|sendBeacon", text
    )


def test_the_policy_has_the_digests_of_the_code_and_the_style(folder):
    elements = Elements(trace.write(hello(folder).save()).read_text())
    policy = next(
        a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        digest = base64.b64encode(hashlib.sha256(elements.texts[tag][-1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_a_scenario_is_linked_if_its_file_exists(folder):
    run = lossy(folder)
    scenarios = folder.parents[2] / "scenarios"
    scenarios.mkdir()
    (scenarios / "half_open.py").touch()
    text = trace.write(run.save()).read_text()
    links = [attributes["href"] for tag, attributes in Elements(text).tags if tag == "a"]
    assert links == ["../../../scenarios/half_open.py"]
    assert (folder / links[0]).resolve() == scenarios / "half_open.py"


def test_data_can_t_end_the_script_element(folder):
    run = hello(folder)
    run.print(0.5, "kali", "</script><script>alert(1)</script><!--&amp;\u2028", 2)
    text = trace.write(run.save()).read_text()
    assert len(re.findall(r"(?i)</script", text)) == 3
    said = json.loads(re.search(r'id="run">(.*?)</script>', text)[1])["events"]
    assert "</script><script>alert(1)</script><!--&amp;\u2028" in [row["text"] for row in said]


def test_the_same_run_gives_the_same_page(folder):
    run = lossy(folder).save()
    assert trace.write(run).read_bytes() == trace.write(run).read_bytes()


def test_traffic_in_memory_gives_the_same_page(folder):
    run = lossy(folder).save()
    assert trace.write(run, load(run)).read_bytes() == trace.write(run).read_bytes()


def test_a_page_is_written_whole_or_not_at_all(folder, monkeypatch):
    run = hello(folder).save()
    page = trace.write(run)
    before = page.read_bytes()
    (run / "record.json").write_text("[]")
    with pytest.raises(ValueError, match="no object"):
        trace.write(run)
    assert page.read_bytes() == before
    assert not list(run.glob("*.part"))


def test_a_run_that_never_began_has_a_page_with_a_note(folder):
    run = Run(folder, {"nodes": {}, "captures": [], "verdict": "fail", "reason": "no lab is up"})
    page = collect(run.save())
    assert "nothing was captured in this run" in notes(page)
    assert page.run["nodes"] == []
    assert "no lab is up" in trace.write(folder).read_text()


def test_unreadable_captures_are_noted(folder):
    hello(folder).save()
    (folder / "servers.pcapng").write_bytes(b"no capture at all")
    page = collect(folder)
    assert "the captures can't be read" in notes(page)
    assert page.run["packets"]["seen"] == []
    assert page.run["events"]


def test_a_truncated_line_of_events_is_noted(folder):
    hello(folder).save()
    with open(folder / "events.jsonl", "a") as file:
        file.write('{"at": 1795, "node": "ka')
    assert "lines of events.jsonl can't be read: 1" in notes(collect(folder))


def test_hosts_without_ipv4_are_beside_their_router(folder):
    run = hello(folder)
    run.record["captures"] = [
        {"name": "clients", "file": "clients.pcapng", "networks": ["fd28:40::/64"], "router": []},
        {"name": "servers", "file": "servers.pcapng", "networks": ["fd28:66::/64"], "router": []},
    ]
    run.record["nodes"] = {
        "kali": {"addresses6": ["fd28:40::129"]},
        "router": {"addresses6": ["fd28:40::2", "fd28:66::2"]},
        "win10": {"addresses": [WIN10], "addresses6": ["fd28:66::163"]},
    }
    nodes = collect(run.save()).run["nodes"]
    assert [node["title"] for node in nodes] == ["kali", "router", "win10"]
    assert [list(node["segments"]) for node in nodes] == [["clients"], ["clients", "servers"], ["servers"]]


# --- texts -------------------------------------------------------------------------------------------


def test_the_texts_of_the_code_are_those_that_the_catalog_has():
    for path in (render.HERE / name for name in render.CODE):
        code = path.read_bytes()
        found = [texts for _, _, texts, _ in extract_javascript(io.BytesIO(code), {"t": None}, [], {})]
        first = [texts if isinstance(texts, str) else texts[0] for texts in found]
        assert render.texts_of(code.decode()) == first, path.name


def test_every_text_of_the_code_is_a_literal():
    """Except in language.js itself and for the texts of events, which Python adds to the table."""
    calls = re.findall(r"(?<![\w.])t\(([^\"].{1,12})", render._code())
    assert sorted(calls) == ["item.text) : ", "text);", "text, fields ", "value));"]


def test_an_empty_text_is_not_translated():
    assert render.Texts().add("") == ""


def test_the_diagnosis_is_translated_with_its_fields(folder):
    sentence = message("{client} gave up", client="a")
    run = hello(folder)
    run.record["diagnosis"] = Diagnosis((sentence,), ()).to_dict()
    (kept,) = heading.diagnosis(json.loads((run.save() / "record.json").read_text()), folder)["sentences"]
    assert kept == sentence
    run.record["diagnosis"] = {"sentences": ["a gave up"]}  # of an older run
    assert heading.diagnosis(json.loads((run.save() / "record.json").read_text()), folder)["sentences"] == [
        "a gave up"
    ]


# --- several routers -----------------------------------------------------------------------------------


def test_a_way_has_a_leg_for_each_router(folder):
    run = collect(office(folder).save()).run
    titles = [node["title"] for node in run["nodes"]]
    syn = run["packets"]["label"].index(run["labels"].index("SYN"))
    way = run["ways"][run["packets"]["way"][syn]]
    legs = [(titles[source], titles[target], first, last) for source, target, first, last in way["legs"]]
    assert legs == [("alice", "edge", 0, 0), ("edge", "core", 1, 2), ("core", "web", 3, 3)]
    assert [run["captures"][number]["segment"] for number in way["captures"]] == [
        "office", "backbone", "backbone", "servers",
    ]  # fmt: skip
    assert run["packets"]["seen"][syn] == [220_010, 220_050, 220_060, 220_100]


def test_a_translation_has_its_router_and_both_ends_are_one_connection(folder):
    run = collect(office(folder).save()).run
    (there,) = run["translations"][run["packets"]["translation"][0]]
    assert run["nodes"][there["node"]]["title"] == "edge"
    assert there["text"] == "10.1.0.10:41000 → 172.28.0.2:41000"
    assert run["packets"]["connection"][:2] == [0, 0]
    assert run["connections"][:2] == ["UDP alice:41000 → dns:53", "TCP alice:40000 → web:80"]


def test_the_same_bytes_on_a_segment_are_kept_once(folder):
    page = collect(office(folder).save())
    kept = page.run["packets"]["kept"][0]
    assert (kept[0], kept[1], kept[3]) == (46, 46, 46)
    assert kept[2] is None
    frames = [frame.data for frame in pcap.read(folder / "servers.pcapng")]
    assert kept_bytes(page, 0, second=3) == frames[0]


def test_nodes_that_take_no_part_are_marked(folder):
    run = collect(office(folder).save()).run
    assert [node["title"] for node in run["nodes"] if not node["part"]] == ["bob", "carol", "erin"]
    core = next(node for node in run["nodes"] if node["title"] == "core")
    assert (core["role"], core["segments"]) == (
        "router",
        {"backbone": "172.28.0.3", "servers": "172.28.1.2"},
    )
