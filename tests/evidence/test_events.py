"""Events in JSON and as text: each kind is read back unchanged, and anything else is refused."""

import json
import re
from dataclasses import replace

import pytest

from lab.evidence import events
from lab.evidence.endpoint import Endpoint
from lab.evidence.event_json import from_json, to_json
from lab.evidence.event_text import render
from lab.evidence.events import (
    KINDS,
    CounterChanged,
    FaultChanged,
    LinkChanged,
    LinkFailed,
    LinkMeasured,
    Note,
    Output,
    PacketPassed,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
    VariantBegan,
    VerdictGiven,
    WorkloadEnded,
    WorkloadStarted,
)
from lab.link.settings import Impairment, LinkSettings
from lab.link.verification import Check

ALICE, BOB, ANY = Endpoint("192.0.2.1", 40112), Endpoint("192.0.2.9", 8001), Endpoint("*", 0)
NAMES = {"192.0.2.1": "alice", "192.0.2.9": "bob"}
SLOW = LinkSettings(dict.fromkeys(("to-servers", "to-clients"), Impairment(delay=0.02)))
LATE = Check("delay", 0.02, 0.031, 0.030, 0.032, ok=False)
CLOSED = Check("loss", 0.1, 0.0, 0.0, 1.0, None, "not measured")


def socket(local, remote, state, was="", received=0, unsent=0, **owner):
    return SocketChanged(1.5, "alice", 3, "tcp", 4, local, remote, state, was, received, unsent, **owner)


def packet(fate="crossed", mark="", arrived=None):
    ends = {"source": ALICE, "destination": BOB}
    return PacketPassed(
        1.5, "router", "office", 7, "tcp", **ends, label="SYN", flags="S", length=0,
        fate=fate, mark=mark, arrived=arrived, translated=True,
    )  # fmt: skip


EVENTS = [
    (ProgramStarted(1.5, "alice", 2, "echo hello"), "echo hello"),
    (Output(1.5, "alice", 2, "stdout", "hello"), "hello"),
    (Output(1.5, "alice", 2, "stderr", "hello", {"event": "sent", "line": "hello"}), "hello"),
    (ProgramExited(1.5, "alice", 2, exit_code=0), "exit code 0"),
    (ProgramExited(1.5, "alice", 2, exit_code=143), "exit code 143"),
    (ProgramExited(1.5, "alice", 2, signal="KILL"), "killed by SIGKILL"),
    (FaultChanged(1.5, "alice", "power cut", "begin"), "power cut"),
    (FaultChanged(1.5, "alice", "power cut", "end"), "power on"),
    (FaultChanged(1.5, "alice", "flood", "end"), "flood: over"),
    (LinkChanged(1.5, "router", SLOW, "netem"), "link: both ways: 20 ms"),
    (LinkChanged(1.5, "router", LinkSettings()), "link: unimpaired"),
    (LinkChanged(1.5, "router", SLOW, "netem", "office–dmz"), "office–dmz link: both ways: 20 ms"),
    (LinkMeasured(1.5, "router", {"to-a": [CLOSED]}, "a–b"), "a–b link measured: to-a not measured"),
    (LinkFailed(1.5, "router", "it is gone", "a–b"), "a–b link: it is gone"),
    (FaultChanged(1.5, "router", "partition: alice | bob", "begin"), "partition: alice | bob"),
    (FaultChanged(1.5, "router", "partition: alice | bob", "end"), "partition healed: alice | bob"),
    (LinkMeasured(1.5, "router", {"back": [LATE]}), "link measured: back delay 31.00 ms – not as asked"),
    (LinkFailed(1.5, "router", "it is gone"), "link: it is gone"),
    (Note(1.5, "lab", "a remark"), "a remark"),
    (VariantBegan(1.5, "lab", "broken"), "broken"),
    (socket(ALICE, BOB, "SYN_SENT"), "tcp alice:40112 – bob:8001 SYN_SENT"),
    (socket(ALICE, BOB, "ESTABLISHED", "SYN_SENT", pid=7, command="client"),
     "tcp alice:40112 – bob:8001 SYN_SENT → ESTABLISHED"),
    (socket(ALICE, BOB, "", "TIME_WAIT", 7), "tcp alice:40112 – bob:8001 TIME_WAIT → closed"),
    (socket(ALICE, BOB, "CLOSE_WAIT", "", 7, 5),
     "tcp alice:40112 – bob:8001 CLOSE_WAIT, 7 bytes to read, 5 bytes to send"),
    (socket(Endpoint("*", 8001), ANY, "LISTEN", unsent=5), "tcp *:8001 LISTEN"),
    (socket(Endpoint("*", 8001), ANY, "LISTEN", "", 2, 5), "tcp *:8001 LISTEN, 2 of 5 wait to be accepted"),
    (CounterChanged(1.5, "alice", "Udp.NoPorts", 9, 2), "Udp.NoPorts +2"),
    (packet(arrived=1.6), "alice:40112 → bob:8001 SYN"),
    (replace(packet("lost"), lost_at="core", translated=True), "alice:40112 → bob:8001 SYN, lost"),
    (packet("lost", "retransmission"), "alice:40112 → bob:8001 SYN, lost, retransmission"),
    (VerdictGiven(1.5, "lab", "pass"), "pass"),
    (VerdictGiven(1.5, "lab", "fail", "assert 1 == 2"), "fail: assert 1 == 2"),
    (FaultChanged(1.5, "bob", "power cut", "begin", "web"), "power cut, with its container web"),
    (WorkloadStarted(1.5, "bob", 3, "web", "nginx", "nginx -g x"), "container web: nginx -g x"),
    (WorkloadEnded(1.5, "bob", 3, "web", exit_code=1, last_lines="a\nb"),
     "container web ended: exit code 1"),
    (WorkloadEnded(1.5, "bob", 3, "web", signal="KILL", out_of_memory=True),
     "container web ended: killed by SIGKILL, out of memory"),
    (WorkloadEnded(1.5, "bob", 3, "web"), "container web ended: exit code unknown"),
    (WorkloadEnded(1.5, "bob", 3, "web", exit_code=1, earlier=16.7),
     "container web isn't running: it ended 17 s before the run, exit code 1"),
    (WorkloadEnded(1.5, "bob", 3, "web", exit_code=127, error="no such file"),
     "container web ended: not started, no such file"),
]  # fmt: skip


def test_every_kind_of_event_is_here():
    assert {type(event) for event, _ in EVENTS} == set(KINDS.values())
    defined = {each for each in vars(events).values() if isinstance(each, type) and "kind" in vars(each)}
    assert defined == set(KINDS.values())


@pytest.mark.parametrize(("event", "text"), EVENTS)
def test_an_event_is_read_back_from_json(event, text):
    line = json.dumps(to_json(event))
    assert from_json(json.loads(line)) == event


@pytest.mark.parametrize(("event", "text"), EVENTS)
def test_an_event_is_rendered_in_one_line(event, text):
    assert render(event, NAMES) == text


def test_a_line_of_events_jsonl_names_its_kind():
    assert to_json(socket(Endpoint("*", 8001), ANY, "LISTEN")) == {
        "at": 1.5, "node": "alice", "kind": "socket", "id": 3, "protocol": "tcp", "family": 4,
        "local": "*:8001", "remote": "*:*", "state": "LISTEN", "was": "",
        "receive_queue": 0, "send_queue": 0,
    }  # fmt: skip
    assert to_json(ProgramExited(1.5, "alice", 2, signal="TERM")) == {
        "at": 1.5, "node": "alice", "kind": "exit", "program": 2, "signal": "TERM",
    }  # fmt: skip


START = {"at": 1.0, "node": "alice", "kind": "start", "program": 1, "command": "true"}
MEASURED = {"at": 1.0, "node": "router", "kind": "measurement"}
OUTPUT = {"at": 1.0, "node": "alice", "kind": "output", "program": 1, "stream": "stdout", "line": "hello"}


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([], "an event is a JSON object"),
        ({}, "unknown kind of event: None"),
        (START | {"kind": "stop"}, "unknown kind of event: 'stop'"),
        (START | {"kind": []}, "unknown kind of event: []"),
        (START | {"text": "true"}, "start event: no field 'text'"),
        ({"at": 1.0, "node": "alice", "kind": "note"}, "note event: text is missing"),
        (START | {"at": "now"}, "start event: 'now' is not a valid float"),
        (START | {"at": float("nan")}, "start event: nan is not a valid float"),
        (START | {"at": True}, "start event: True is not a valid float"),
        (START | {"program": 1.5}, "start event: 1.5 is not a valid int"),
        (START | {"program": None}, "start event: None is not a valid int"),
        (OUTPUT | {"stream": "stdin"}, "output event: unknown value 'stdin': expected stdout or stderr"),
        (OUTPUT | {"message": "hello"}, "output event: 'hello' is not a valid dict"),
        (
            to_json(socket(ALICE, BOB, "SYN_SENT")) | {"local": "here"},
            "socket event: not an endpoint: 'here'",
        ),
        ({"at": 1.0, "node": "router", "kind": "link", "asked": {"x": 1}}, "link event: no direction 'x'"),
        (
            {"at": 1.0, "node": "router", "kind": "measurement", "measured": {"a": [{}]}},
            "measurement event: ",
        ),
        (MEASURED | {"measured": {"a": 1}}, "measurement event: "),
    ],
)
def test_an_invalid_event_is_refused_in_one_line(value, error):
    with pytest.raises(ValueError, match=rf"\A{re.escape(error)}.*\Z"):
        from_json(value)
