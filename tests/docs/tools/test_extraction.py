"""A run's folder becomes a small recording."""

from dataclasses import replace

import pytest

from docs.tools import recording
from docs.tools.extraction import FIRST, LAST, ROWS, keep
from docs.tools.recording import Step
from lab.errors import UsageError
from lab.evidence.events import (
    FaultChanged,
    LinkChanged,
    LinkMeasured,
    ProgramExited,
    ProgramStarted,
    VariantBegan,
)
from lab.link.settings import Impairment, LinkSettings
from lab.scenarios import catalog
from tests.evidence.office_run import office
from tests.evidence.trace_runs import Run

SCENARIO = '''"""Title.

Lesson.
"""
BROKEN = """
import socket
"""
def run(lab, variant): ...
def check_broken(record):
    """It fails."""
def check_fixed(record):
    """It works."""
'''
LEFT_ALONE = {"backend": "nfqueue", "changes": []}


@pytest.fixture
def scenario(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)
    (tmp_path / "trap.py").write_text(SCENARIO)
    return catalog.load("trap")


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "run", {"record": {"a": 1}, "impairment": LEFT_ALONE})


def kept(scenario, run):
    return keep(scenario, run.save())


def packet(run, at, **how):
    run.tcp(at, (43012, 8001), "S", int(at * 1000), **how)


def test_each_variant_has_its_own_part(scenario, run):
    run.add(VariantBegan, 1.0, "lab", "broken")
    run.add(ProgramStarted, 1.1, "kali", 1, "python3 -c '\nimport socket\n' 8001")
    run.print(1.2, "kali", "no", 1)
    packet(run, 1.3)
    run.add(VariantBegan, 1.9, "lab", "fixed")
    run.add(ProgramStarted, 2.1, "kali", 2, "true")
    run.add(ProgramExited, 2.2, "kali", 2, 0)
    packet(run, 2.3)
    packet(run, 2.4)
    broken, fixed = kept(scenario, run).parts
    assert (broken.variant, fixed.variant) == ("broken", "fixed")
    assert [(said.command, said.lines, said.end) for said in broken.programs] == [
        ("python3 -c BROKEN 8001", ["no"], "")
    ]
    assert [(said.command, said.lines, said.end) for said in fixed.programs] == [("true", [], "exit code 0")]
    assert [len(part.steps) for part in (broken, fixed)] == [1, 2]


def test_the_recording_describes_the_run(scenario, run):
    told = kept(scenario, run)
    assert (told.scenario, told.verdict, told.record) == ("trap", "pass", {"a": 1})
    assert told.date == "2026-11-18"
    assert told.versions["kernel"] == "6.18.44"
    assert told.backend == ""
    assert told.lanes == ["kali", "router", "win10"]
    run.record["impairment"] = {"backend": "nfqueue", "changes": [{}]}
    assert kept(scenario, run).backend == "nfqueue"


def test_the_build_of_the_kernel_is_left_out(scenario, run):
    run.record["versions"] = {"python": "3.11.7", "kernel": "6.18.44-somebodys-1"}
    assert kept(scenario, run).versions == {"python": "3.11.7", "kernel": "6.18.44"}


def test_long_output_is_shortened(scenario, run):
    run.add(ProgramStarted, 0.1, "kali", 1, "seq 1000")
    for number in range(1000):
        run.print(0.2 + number / 1e6, "kali", f"{number} " + "x" * 1000, 1)
    (said,) = kept(scenario, run).parts[0].programs
    assert [line.split()[0] for line in said.lines] == [str(n) for n in range(FIRST)]
    assert [line.split()[0] for line in said.last] == [str(1000 - LAST + n) for n in range(LAST)]
    assert len(said.lines) + said.left_out + len(said.last) == 1000
    assert max(map(len, said.lines)) < 300


def test_output_within_the_limit_is_kept_whole(scenario, run):
    run.add(ProgramStarted, 0.1, "kali", 1, "seq")
    for number in range(FIRST + LAST):
        run.print(0.2 + number / 1e6, "kali", str(number), 1, "stderr")
    (said,) = kept(scenario, run).parts[0].programs
    assert (len(said.lines), said.left_out, said.last) == (FIRST + LAST, 0, [])


def test_control_characters_are_escaped(scenario, run):
    run.add(ProgramStarted, 0.1, "kali", 1, "\necho 1\necho 2\x1b[1m\n")
    run.print(0.2, "kali", "\x1b[31mred\u202e", 1)
    (said,) = kept(scenario, run).parts[0].programs
    assert said.command == "echo 1\n> echo 2\\x1b[1m"
    assert said.lines == ["\\x1b[31mred\\u202e"]


def test_packets_have_their_fate_and_their_delay(scenario, run):
    packet(run, 1.0)
    packet(run, 2.0, delay=None)
    packet(run, 3.0, delay=0.02)
    assert kept(scenario, run).parts[0].steps == [
        Step(0.0, "kali", "win10", "SYN → 8001"),
        Step(1.0, "kali", "win10", "SYN → 8001", fate="lost", lost_at="router"),
        Step(2.0, "kali", "win10", "SYN → 8001", delay=0.02),
    ]


@pytest.mark.parametrize(
    ("payload", "label"),
    [
        ("我是客户端".encode(), "15 bytes “我是客户端”"),
        (b"\5\0\0\0hello", "9 bytes 05 00 00 00 …"),
        ("客户端".encode("gbk"), "6 bytes bf cd bb a7 …"),
    ],
)
def test_a_payload_is_quoted_only_if_it_is_text(scenario, run, payload, label):
    run.tcp(1.0, (43012, 8001), "PA", 1, 1, payload)
    assert [step.label for step in kept(scenario, run).parts[0].steps] == [label]


def handshake(run):
    ends = (43012, 8001)
    run.tcp(1.0, ends, "S", 1000)
    run.tcp(1.1, ends, "SA", 9000, 1001, back=True)
    run.tcp(1.2, ends, "A", 1001, 9001)


def test_pure_acks_are_left_out_and_counted(scenario, run):
    handshake(run)
    part = kept(scenario, run).parts[0]
    assert ([step.label for step in part.steps], part.hidden_acks) == (["SYN → 8001", "SYN ACK"], 1)


def test_a_scenario_may_ask_for_pure_acks(scenario, run):
    handshake(run)
    part = kept(replace(scenario, acks=True), run).parts[0]
    assert ([step.label for step in part.steps], part.hidden_acks) == (["SYN → 8001", "SYN ACK", "ACK"], 0)


def test_many_packets_are_left_out_and_counted(scenario, run):
    for number in range(100):
        packet(run, 1.0 + number, delay=None if number % 2 else 0.0001)
    steps = kept(scenario, run).parts[0].steps
    assert len(steps) == ROWS + 1
    (gap,) = [step for step in steps if step.left_out]
    assert (gap.left_out, gap.lost) == (100 - ROWS, (100 - ROWS) // 2)


def test_faults_and_link_settings_are_notes(scenario, run):
    slow = LinkSettings(dict.fromkeys(("to-servers", "to-clients"), Impairment(delay=0.02)))
    run.add(LinkChanged, 0.5, "router", slow)
    run.add(LinkMeasured, 0.6, "router", {})
    packet(run, 1.0)
    run.add(FaultChanged, 1.1, "win10", "cable pulled", "begin")
    packet(run, 2.0)
    run.add(FaultChanged, 2.1, "win10", "cable pulled", "end")
    run.add(LinkChanged, 2.2, "router", LinkSettings())
    notes = [(step.at, step.note) for step in kept(scenario, run).parts[0].steps if step.note]
    assert notes == [(-0.5, "link: both ways: 20 ms"), (0.1, "win10: cable pulled")]


def test_a_fault_after_the_last_packet_is_kept(scenario, run):
    packet(run, 1.0)
    run.add(FaultChanged, 1.1, "win10", "cable pulled", "begin")
    assert kept(scenario, run).parts[0].steps[-1].note == "win10: cable pulled"


def test_a_saved_recording_is_loaded_unchanged(scenario, run, tmp_path, monkeypatch):
    monkeypatch.setattr("docs.tools.GALLERY", tmp_path / "gallery")
    packet(run, 1.0)
    packet(run, 2.0, delay=None)
    run.add(ProgramStarted, 0.1, "kali", 1, "echo 我")
    whole = kept(scenario, run)
    path = recording.save(whole)
    assert path == tmp_path / "gallery" / "recorded" / "trap.json"
    assert list(path.parent.iterdir()) == [path]
    assert recording.load("trap") == whole
    recording.save(replace(whole, seconds=9.0))
    assert recording.load("trap").seconds == 9.0


def test_a_missing_recording_is_none(tmp_path, monkeypatch):
    monkeypatch.setattr("docs.tools.GALLERY", tmp_path)
    assert recording.load("trap") is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"parts": [{}]}', '{"parts": [], "else": 1}'])
def test_an_invalid_recording_is_reported(content, tmp_path, monkeypatch):
    monkeypatch.setattr("docs.tools.GALLERY", tmp_path)
    (tmp_path / "recorded").mkdir()
    (tmp_path / "recorded" / "trap.json").write_text(content)
    with pytest.raises(UsageError, match="trap.json isn.t a recording"):
        recording.load("trap")


def test_a_recording_has_the_lanes_of_the_nodes_that_take_part(scenario, tmp_path):
    run = office(tmp_path / "run")
    run.record |= {"impairment": LEFT_ALONE}
    found = kept(scenario, run)
    assert found.lanes == ["alice", "edge", "core", "db", "dns", "web", "branch", "dave"]
    syn = next(step for step in found.parts[0].steps if step.label == "SYN → 80")
    assert (syn.source, syn.destination, syn.translation) == ("alice", "web", "172.28.0.2:40000")
    lost = [step for step in found.parts[0].steps if step.fate == "lost"]
    assert {(step.source, step.destination, step.lost_at) for step in lost} == {("dave", "web", "branch")}
