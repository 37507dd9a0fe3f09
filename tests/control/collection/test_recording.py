"""The evidence of a whole run: diagnosis, timeline, captures; no packet is lost at its end."""

import io
import json

import pytest
from rich.console import Console

from lab.cli.output.view import View
from lab.control.lab import ignore
from lab.control.transport import from_engine
from lab.evidence.packets.traffic import load
from lab.evidence.record import read_events
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play

pytestmark = pytest.mark.lab


def played(topology, tmp_path, run, check=lambda record: None):
    scenario = Scenario("made-up", "A title", "", run, check)
    return play(scenario, lambda observe: from_engine(topology.project, observe), ignore, tmp_path)


def wrong(record):
    raise AssertionError("as wanted")


def connect_to_nobody(lab):
    return {"exit_code": lab.client.run("lab-echo send server hello --mode hello --port 7301").exit_code}


def test_a_failed_run_shows_the_cause_and_the_packets(lab_topology, tmp_path):
    outcome = played(lab_topology, tmp_path, connect_to_nobody, wrong)
    assert "kali was refused by win10" in outcome.diagnosis.text
    shown = io.StringIO()
    View(Console(file=shown, width=100)).end(outcome)
    for words in (
        "FAIL",
        "as wanted",
        "kali was refused by win10",
        "lab run connect-errors",
        "SYN → 7301",
        "RST",
    ):
        assert words in shown.getvalue()
    kept = json.loads((outcome.folder / "record.json").read_text())
    assert kept["diagnosis"] == outcome.diagnosis.to_dict()
    assert [about["name"] for about in kept["captures"]] == ["clients", "servers"]
    assert set(kept["clocks"]) == {"kali", "router", "win10"}


def test_a_passed_run_needs_no_diagnosis(lab_topology, tmp_path):
    outcome = played(lab_topology, tmp_path, connect_to_nobody)
    assert (outcome.verdict, bool(outcome.diagnosis)) == ("pass", False)


def test_everything_is_on_one_timeline_in_order(lab_topology, tmp_path):
    def run(lab):
        with lab.server.start("lab-echo serve --mode hello --port 7302"):
            lab.client.run("lab-echo send server hello --mode hello --port 7302", check=True)
        return {}

    outcome = played(lab_topology, tmp_path, run)
    lines = [json.loads(line) for line in (outcome.folder / "events.jsonl").read_text().splitlines()]
    assert [line["at"] for line in lines] == sorted(line["at"] for line in lines)
    events = read_events(outcome.folder)
    assert {"start", "output", "exit", "socket", "packet", "verdict"} <= {event.kind for event in events}
    (syn,) = [e.at for e in events if e.kind == "packet" and e.flags == "S"]
    (began,) = [e.at for e in events if e.kind == "start" and e.node == "kali"]
    (heard,) = [e.at for e in events if e.kind == "output" and e.node == "kali"]
    assert began < syn < heard
    (connection,) = load(outcome.folder).connections(7302)
    assert connection.handshake == "complete"


def test_a_run_ends_only_after_its_last_packet_left_the_router(lab_topology, tmp_path):
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'last', ('{}', 7303))"

    def run(lab):
        lab.link.set(delay=0.08, verify=False)
        lab.client.run(["python3", "-c", send.format(lab.server.address)], check=True)
        return {"at_once": [datagram.fate for datagram in lab.packets().datagrams(7303)]}

    outcome = played(lab_topology, tmp_path, run)
    (datagram,) = outcome.traffic.datagrams(7303)
    assert (datagram.lost, datagram.arrived_at - datagram.sent_at > 0.07) == (False, True)


def test_a_partition_at_the_end_shows_its_packets_as_lost(lab_topology, tmp_path):
    send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'last', ('{}', 7304))"

    def run(lab):
        with lab.link.partitioned(verify=False):
            lab.client.run(["python3", "-c", send.format(lab.server.address)], check=True)
        return {}

    (datagram,) = played(lab_topology, tmp_path, run).traffic.datagrams(7304)
    assert (datagram.lost, datagram.fate) == (True, "lost")


def test_states_that_last_as_long_as_a_handshake_are_seen_on_a_slow_link(lab_topology, tmp_path):
    def run(lab):
        lab.link.set(delay=0.1, verify=False)
        with lab.server.start("lab-echo serve --mode hello --host 0.0.0.0 --port 7305"):
            lab.client.run("lab-echo send server hello --mode hello --port 7305", check=True)
        return {
            "names": {
                s.node: s.names for s in lab.states() if 7305 in (s.port, s.remote_port) and s.remote.port
            }
        }

    outcome = played(lab_topology, tmp_path, run)
    assert outcome.reason == ""
    assert {node: names[0] for node, names in outcome.record["names"].items()} == {
        "kali": "SYN_SENT",
        "win10": "SYN_RECV",
    }
