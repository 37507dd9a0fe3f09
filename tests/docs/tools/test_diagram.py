"""The packets as a diagram. tests/browser/test_mermaid.py has Mermaid itself read them."""

import re

import pytest

from docs.tools.diagram import diagram, escaped
from docs.tools.recording import Step

LANES = ("kali", "router", "win10")
TEXT = r"(?:[A-Za-z0-9 ,.()/-]|:(?= )|#\d+;|[^\x00-\x7f])*"
GRAMMAR = re.compile(
    r"sequenceDiagram|    (?:participant (?:kali|router|win10)"
    rf"|(?:kali|router|win10)(?:->>|-x)(?:kali|router|win10): {TEXT}|Note over kali,win10: {TEXT})"
)
HOSTILE = [
    "a;b",
    "#59;",
    "#",
    "end",
    "the END of it",
    "%%{init: {}}%%",
    "%% x",
    "wrap: x",
    "NoWrap: x",
    ": x",
    "style: a:#fff;",
    "a: b:",
    "<script>alert(1)</script>",
    "\"quoted\" and 'quoted'",
    "```",
    "a\nkali->>win10: forged",
    "a\r\n",
    "\u2028\u0085\x00\x1b[31m",
    "$$x^2$$",
    "note over kali: x",
    "+x",
    "-x",
    "->>",
    "style a:#fff;",
    "classDef x:#fff;",
    "{}[]()<br/>",
    "&amp;&#35;",
    "*x*_y_",
    "\\",
    "---\ntitle: x\n---",
    "ﬂ°°59¶ß",
    "“字”，→",
]

AWKWARD = [
    "alice-1",
    "my-xbox",
    "end",
    "office",
    "android",
    "box",
    "notes",
    "a.b",
    "n_1",
    "as",
    "b->>c: x",
    "No",
]


def drawn(*steps, language="en"):
    return diagram(steps, language, LANES).splitlines()[4:]


def test_an_arrow_runs_from_the_sender_to_the_receiver():
    steps = [Step(0.0, "kali", "win10", "SYN"), Step(0.001, "win10", "kali", "SYN ACK")]
    lines = diagram(steps, "en", LANES)
    assert lines.splitlines() == [
        "sequenceDiagram",
        "    participant kali",
        "    participant router",
        "    participant win10",
        "    kali->>win10: SYN",
        "    win10->>kali: SYN ACK",
    ]


def test_a_lost_packet_ends_at_the_router():
    lost = Step(0.0, "win10", "kali", "SYN ACK", fate="lost", mark="retransmission")
    assert drawn(lost) == ["    win10-xrouter: SYN ACK (retransmission, lost)"]
    assert drawn(lost, language="zh-CN") == ["    win10-xrouter: SYN ACK (重传, 丢失)"]


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step(0.0, "kali", "win10", "SYN", mark="corrupted"), "SYN (corrupted)"),
        (Step(0.0, "kali", "win10", "SYN", mark="duplicate", delay=0.02), "SYN (duplicate, 20 ms)"),
        (Step(0.0, note="win10: cable pulled"), "win10: cable pulled"),
        (Step(0.0, left_out=180, lost=90), "… 180 more packets, 90 of them lost"),
        (Step(0.0, left_out=180), "… 180 more packets"),
    ],
)
def test_marks_notes_and_gaps_are_written_out(step, said):
    (line,) = drawn(step)
    assert line.partition(": ")[2] == said


def test_a_pause_is_a_note():
    first, soon, late = (Step(at, "kali", "win10", "x") for at in (0.0, 0.02, 0.06))
    assert [line.partition(": ")[2] for line in drawn(first, soon, late)] == ["x", "x", "40 ms later", "x"]
    assert "    Note over kali,win10: 1.5 s later" in drawn(first, Step(1.5, "kali", "win10", "x"))


def test_preparations_and_gaps_are_not_pauses():
    packet = Step(0.0, "kali", "win10", "x")
    gap, rest = Step(7.0, left_out=3), Step(9.0, "kali", "win10", "x")
    assert not [line for line in drawn(Step(-3.0, note="link"), packet, gap, rest) if "later" in line]


def test_without_packets_there_is_no_diagram():
    assert diagram([], "en", LANES, hidden_acks=3) == ""


@pytest.mark.parametrize(
    ("language", "said"), [("en", "3 pure ACKs are not shown"), ("zh-CN", "未显示 3 个纯 ACK 报文段")]
)
def test_the_last_note_counts_the_acks_that_are_not_shown(language, said):
    step = Step(0.0, "kali", "win10", "SYN")
    note = diagram([step], language, LANES, hidden_acks=3).splitlines()[-1]
    assert note == f"    Note over kali,win10: {said}"
    assert "Note" not in diagram([step], language, LANES)


def test_the_lanes_are_those_of_the_recording():
    lines = diagram([Step(0.0, "a", "b", "SYN", fate="lost"), Step(0.0, note="x")], "en", ("a", "r", "b"))
    assert [line.strip() for line in lines.splitlines()] == [
        "sequenceDiagram", "participant a", "participant r", "participant b", "a-xr: SYN (lost)",
        "Note over a,b: x",
    ]  # fmt: skip


def test_a_packet_is_lost_at_its_router():
    lanes = ("alice", "edge", "core", "web")
    step = Step(0.0, "alice", "web", "SYN", "lost", lost_at="core")
    assert diagram([step], "en", lanes).splitlines()[-1] == "    alice-xcore: SYN (lost)"


def test_a_translated_address_is_a_remark():
    (line,) = drawn(Step(0.0, "kali", "win10", "SYN", translation="192.0.2.7:40000"))
    assert line == "    kali->>win10: SYN (NAT 192.0.2.7#58;40000)"


@pytest.mark.parametrize("name", AWKWARD)
def test_a_name_that_mermaid_could_misread_is_a_number_with_a_title(name):
    lines = diagram([Step(0.0, name, "win10", "SYN"), Step(0.1, note="x")], "en", (name, "win10"))
    assert lines.splitlines()[1] == f"    participant n1 as {escaped(name)}"
    assert lines.splitlines()[3::2] == ["    n1->>win10: SYN", "    Note over n1,win10: x"]


def test_a_diagram_may_have_one_lane():
    assert diagram([Step(0.0, note="x")], "en", ("a",)).splitlines()[-1] == "    Note over a: x"


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_leaves_its_line(text):
    steps = [Step(0.0, "kali", "win10", text), Step(1.0, note=text), Step(1.0, "kali", "win10", text, "lost")]
    lines = diagram(steps, "en", LANES).splitlines()
    assert len(lines) == 4 + 4
    assert all(GRAMMAR.fullmatch(line) for line in lines)
    assert not re.search(r"\bend\b", "\n".join(lines), re.IGNORECASE)


def test_an_escaped_text_can_be_restored():
    text = 'say "end"; #1 <b>'
    assert re.sub(r"#(\d+);", lambda found: chr(int(found[1])), escaped(text)) == text
