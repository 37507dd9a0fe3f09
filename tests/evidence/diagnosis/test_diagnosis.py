"""The diagnosis of recorded runs (record_cases.py), of forged evidence, and without evidence."""

import gettext
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lab.evidence.diagnosis.diagnose import Diagnosis, Evidence, diagnose
from lab.evidence.endpoint import Endpoint
from lab.evidence.event_text import render
from lab.evidence.events import FaultChanged, LinkChanged, LinkMeasured, Output
from lab.evidence.packets.traffic import Traffic, load
from lab.evidence.record import read_events
from lab.link.settings import LinkSettings

RECORDED = Path(__file__).parents[1] / "recorded"
CUT = LinkSettings(cut=frozenset({"to-servers", "to-clients"}))

# case: the parts that the first sentence must contain, and a scenario in see_also ("" for none)
EXPECTED = {
    "refused": (
        ["kali was refused by win10", "port 8001", "RST", "nothing listens there", "8002"],
        "connect-errors",
    ),
    "refused_loopback": (
        ["refused by win10", "127.0.0.1:8001 only", "no other host can reach"],
        "bind-loopback",
    ),
    "refused_early": (["refused by win10", "nothing listened there yet", "later"], "connect-errors"),
    "refused_ipv6": (["refused by win10", "IPv4 only"], "socket-families"),
    "to_itself": (["kali was refused and no packet left it"], "bind-loopback"),
    "wrong_host": (["command on kali names win10", "connected to router", "wrong host"], ""),
    "unknown_name": (["kali couldn't resolve a host name", "kali, router, win10"], ""),
    "partitioned": (
        ["SYNs to win10:8001", "reached the router", "none left it", "partition"],
        "connect-errors",
    ),
    "way_back_cut": (
        ["3 SYNs to win10:8001", "win10 answered", "no SYN ACK left the router", "the way back is cut"],
        "connect-errors",
    ),
    "power_cut": (["SYNs to win10:8001", "host unreachable", "its power is off"], "connect-errors"),
    "frozen": (["win10 received all data from kali (5 bytes)", "it is paused"], ""),
    "backlog_full": (
        ["3 left the router", "win10 didn't answer", "backlog is full", "ListenOverflows"],
        "backlog",
    ),
    "address_in_use": (["Port 8001 of win10 is in use", "lab.programs.echo", "pid"], "address-in-use"),
    "time_wait": (
        ["Port 8077 of win10", "1 earlier connection in TIME_WAIT", "closed first", "SO_REUSEADDR"],
        "time-wait",
    ),
    "reset_unread": (["win10 reset the connection", "data from kali was unread"], "reset-on-close"),
    "send_after_close": (
        ["win10 reset the connection", "it had closed the connection, and kali sent more data"],
        "send-after-close",
    ),
    "cable_pulled": (
        ["kali sent 3 bytes", "4 retransmissions", "none of these packets left the router"],
        "half-open",
    ),
    "both_send": (["both send and neither reads", "window 0"], "both-send"),
    "never_read": (["5 bytes arrived at win10:8001 and stayed unread"], "blocking"),
    "reader_stuck": (["win10 doesn't read", "128128 bytes", "window 0"], "both-send"),
    "empty_message": (["neither side sent a byte"], "empty-message"),
    "waits_for_more": (
        ["win10 received all data from kali (5 bytes)", "returned nothing", "waits for more data"],
        "one-recv",
    ),
    "closed_early": (["win10 closed the connection from kali", "without an answer to 5 bytes"], ""),
    "overrun": (["win10 dropped 44 datagrams", "RcvbufErrors"], "udp-overrun"),
    "udp_refused": (["port unreachable", "nothing listens on UDP port 9090 of win10"], "udp-refused"),
    "udp_lost": (
        ["kali sent 8 datagrams to win10:9090", "2 entered the router and never left it"],
        "udp-reliable",
    ),
    "no_route": (
        ["router answered “network unreachable”", "10.99.99.99 is no host of the lab"],
        "connect-errors",
    ),
    "gbk": (["kali couldn't decode", "GBK"], "gbk-console"),
    "split_character": (["kali couldn't decode", "a recv() cut in two"], "split-character"),
}
SILENT = ["healthy", "healthy_second_try"]


def recorded(name):
    folder = RECORDED / name
    return Evidence(read_events(folder), load(folder))


def without_packets(evidence):
    traffic = evidence.traffic
    return Evidence(evidence.events, Traffic([], traffic.captures.values(), traffic.names))


def test_every_recorded_case_has_an_expectation():
    assert {folder.name for folder in RECORDED.iterdir()} == {*EXPECTED, *SILENT}


@pytest.mark.parametrize("case", EXPECTED)
def test_the_cause_is_found_in_the_evidence(case):
    words, scenario = EXPECTED[case]
    diagnosis = diagnose(recorded(case))
    for word in words:
        assert word in diagnosis.sentences[0]
    assert len(diagnosis.sentences) <= 2
    assert scenario in (diagnosis.see_also or ("",))


@pytest.mark.parametrize("case", SILENT)
def test_a_run_without_failure_has_no_diagnosis(case):
    assert diagnose(recorded(case)) == Diagnosis()


def test_without_evidence_there_is_no_diagnosis():
    assert not diagnose(Evidence([], Traffic([], [], {}), "an assertion failed"))


@pytest.mark.parametrize(
    "case",
    ["refused", "partitioned", "way_back_cut", "send_after_close", "udp_lost", "udp_refused", "no_route"],
)
def test_without_packets_there_is_another_diagnosis(case):
    before = diagnose(recorded(case)).sentences
    assert diagnose(without_packets(recorded(case))).sentences != before


@pytest.mark.parametrize("case", ["never_read", "overrun", "address_in_use", "time_wait"])
def test_without_sockets_and_counters_there_is_another_diagnosis(case):
    evidence = recorded(case)
    others = [event for event in evidence.events if event.kind not in ("socket", "counter")]
    assert diagnose(Evidence(others, evidence.traffic)).sentences != diagnose(evidence).sentences


def test_there_is_no_partition_if_the_syns_left_the_router():
    """The same packets, but each SYN leaves the router 1 ms later."""
    evidence = recorded("partitioned")
    packets = evidence.traffic.packets
    out = [replace(p, segment="servers", at=p.at + 0.001) for p in packets if p.flags == "S"]
    forged = Traffic([*packets, *out], evidence.traffic.captures.values(), evidence.traffic.names)
    text = diagnose(Evidence(evidence.events, forged)).text
    assert "none left it" not in text
    assert "win10 didn't answer" in text


def test_an_active_fault_of_the_link_is_named():
    evidence = recorded("partitioned")
    cut = LinkChanged(evidence.events[0].at, "router", CUT)
    text = diagnose(Evidence([cut, *evidence.events], evidence.traffic)).text
    assert f"({render(cut)})" in text


def test_a_listener_on_another_port_is_not_the_cause_of_an_address_in_use():
    evidence = recorded("address_in_use")
    events = [
        replace(e, local=Endpoint("*", 9)) if e.kind == "socket" and e.local == Endpoint("*", 8001) else e
        for e in evidence.events
    ]
    assert "is in use" not in diagnose(Evidence(events, evidence.traffic)).text


def test_the_cause_within_the_failed_program_comes_first():
    """An earlier connection was refused; the failed program's connection was reset."""
    reset, refused = recorded("reset_unread"), recorded("refused")
    shift = reset.events[0].at - refused.events[0].at - 100
    earlier = [replace(p, at=p.at + shift) for p in refused.traffic.packets]
    both = Traffic([*earlier, *reset.traffic.packets], reset.traffic.captures.values(), reset.traffic.names)
    assert "reset the connection" in diagnose(Evidence(reset.events, both)).sentences[0]


@pytest.mark.parametrize("case", EXPECTED)
def test_a_diagnosis_is_read_back_from_the_record(case):
    diagnosis = diagnose(recorded(case))
    record = json.loads(json.dumps(diagnosis.to_dict()))
    assert record["sentences"] == list(diagnosis.sentences)
    assert Diagnosis.from_dict(record) == diagnosis


def test_a_diagnosis_is_shown_in_the_reader_s_language(monkeypatch):
    class Shouting(gettext.NullTranslations):
        def gettext(self, text):
            return text.upper().replace("{BYTES}", "{bytes}").replace("{NODE}:{PORT}", "{port}@{node}")

        def ngettext(self, one, many, count):
            return "{count} BYTE(S)"

    monkeypatch.setattr("lab.locale._catalog", lambda language: Shouting())
    (sentence,) = Diagnosis.from_dict(diagnose(recorded("never_read")).to_dict()).in_language("zh-CN")
    assert sentence == "5 BYTE(S) ARRIVED AT 8001@win10 AND STAYED UNREAD."


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"messages": [], "see_also": None},
        {"messages": ["refused"], "see_also": []},
        {"messages": [{"text": "{count} bytes", "fields": {}}], "see_also": []},
        {
            "messages": [{"text": "a byte", "fields": {"count": "1"}, "plural": "{count} bytes"}],
            "see_also": [],
        },
        {"messages": [{"text": 1, "fields": {}}], "see_also": []},
        {"messages": [{"text": "{x}", "fields": {"x": {"settings": {"cut": 1}}}}], "see_also": []},
    ],
)
def test_an_invalid_diagnosis_is_refused(record):
    with pytest.raises(ValueError, match="invalid diagnosis: "):
        Diagnosis.from_dict(record)


def test_a_link_s_settings_in_a_diagnosis_are_read_back_from_the_record():
    evidence = recorded("partitioned")
    cut = LinkChanged(evidence.events[0].at, "router", CUT)
    diagnosis = diagnose(Evidence([cut, *evidence.events], evidence.traffic))
    again = Diagnosis.from_dict(json.loads(json.dumps(diagnosis.to_dict())))
    assert again == diagnosis
    assert again.in_language("zh-CN") != again.sentences


def test_a_fault_that_ended_is_not_active():
    began = FaultChanged(1.0, "win10", "power cut", "begin")
    ended = FaultChanged(2.0, "win10", "power cut", "end")
    nothing = Traffic([], [], {})
    assert Evidence([began, ended], nothing).node_faults("win10", 1.5) == [began]
    assert Evidence([began, ended], nothing).node_faults("win10", 2.5) == []
    assert Evidence([began], nothing).node_faults("kali", 1.5) == []


def test_a_link_that_was_cleared_has_no_fault():
    cut = LinkChanged(1.0, "router", CUT)
    measured = LinkMeasured(1.5, "router", {})
    cleared = LinkChanged(2.0, "router", LinkSettings())
    evidence = Evidence([cut, measured, cleared], Traffic([], [], {}))
    assert evidence.faults(1.7) == [cut]
    assert evidence.faults(2.5) == []


def test_a_refused_datagram_is_not_a_connection_to_the_host_itself():
    """A connected UDP socket reports ECONNREFUSED too, but its datagram left the host."""
    evidence = recorded("udp_refused")
    start = next(event for event in evidence.events if event.kind == "start")
    line = "ConnectionRefusedError: Connection refused"
    said = Output(start.at + 0.1, "kali", start.program, "stderr", line)
    text = diagnose(Evidence(sorted([*evidence.events, said], key=lambda e: e.at), evidence.traffic)).text
    assert "no packet left it" not in text
    assert "nothing listens on UDP port 9090" in text


def test_the_diagnosis_since_a_time_ignores_earlier_programs():
    evidence = recorded("refused")
    assert diagnose(evidence.since(evidence.events[0].at)).sentences == diagnose(evidence).sentences
    assert not diagnose(evidence.since(evidence.end + 1))
