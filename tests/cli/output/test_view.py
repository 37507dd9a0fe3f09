"""A run in the terminal: output of a program can neither control the terminal nor flood it."""

import io
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from lab.cli.output.abbreviation import MAX_CHARACTERS, shortened
from lab.cli.output.view import MAX_LINES, View
from lab.errors import UsageError
from lab.evidence.events import Output, ProgramExited, ProgramStarted, VariantBegan
from lab.evidence.packets.traffic import load
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import Outcome
from lab.topology.node import Interface, Node
from tests.evidence.forge import handshake, traffic
from tests.evidence.office_run import office


def node(name, role="host"):
    return Node(name, role, (name,), (Interface("segment", "192.0.2.1/24", "2001:db8::1/64"),))


NODES = [node("kali"), node("router", "router"), node("win10")]


def shown(events, columns=False, width=100, language="en"):
    console = Console(file=io.StringIO(), width=width)
    view = View(console, columns=columns, language=language)
    view.show_nodes(NODES)
    for event in events:
        view.observe(event)
    return console.file.getvalue()


def said(line, node="win10", stream="stdout", program=1):
    return Output(0.0, node, program, stream, line)


def test_each_line_begins_with_its_node():
    output = shown([ProgramStarted(0.0, "win10", 1, "x"), said("一 line"), said("bad", "kali", "stderr")])
    assert [line.split(" │ ")[0].strip() for line in output.splitlines()] == ["win10", "win10", "kali"]


@pytest.mark.parametrize("text", ["\x1b[2J", "\x1b]0;title\x07", "a\rb", "\x9b31m", "\u202eabc"])
def test_control_characters_are_escaped(text):
    output = shown([said(text)])
    assert not any(character in output for character in "\x1b\x07\r\x9b\u202e")
    assert "\\" in output


def test_markup_of_a_program_is_text():
    assert "[bold red]x[/]" in shown([said("[bold red]x[/]")])


def test_much_output_is_cut_and_counted():
    events = [said(f"line {number}") for number in range(MAX_LINES + 5)]
    output = shown([*events, ProgramExited(0.0, "win10", 1, 0), said("another program", program=2)])
    assert f"line {MAX_LINES - 1}\n" in output
    assert f"line {MAX_LINES}\n" not in output
    assert "… 5 more lines; exit code 0" in output
    assert "another program" in output


def test_side_by_side_each_host_has_its_column():
    output = shown([said("left", node="kali"), said("right")], columns=True, width=60)
    _, left, right = output.splitlines()
    assert left.index("left") < 30 < right.index("right")


def test_wide_characters_and_long_lines_stay_in_their_column():
    events = [said("上海" * 20, node="kali"), said("x" * 70)]
    output = shown(events, columns=True, width=60)
    assert output.count("上海") == 20
    assert output.count("x") == 70
    for line in output.splitlines():
        assert "上" not in line or "x" not in line


def test_a_long_line_is_cut_and_counted():
    output = shown([said("x" * (MAX_CHARACTERS + 7)), said("y" * MAX_CHARACTERS)], width=1000)
    assert "x" * MAX_CHARACTERS + " … 7 more characters" in output
    assert "y" * MAX_CHARACTERS + "\n" in output


@pytest.mark.parametrize("program", ["import socket", "import socket\nprint('it\\'s')\nprint(\"'\\n'\")"])
def test_a_program_is_shown_by_its_name(program):
    command = shlex.join(["python3", "-c", f"\n{program}\n", "two words"])
    assert shortened(command, {"CLIENT": program}) == "python3 -c CLIENT 'two words'"


def test_a_program_that_has_no_name_is_shown_by_its_length():
    command = shlex.join(["python3", "-c", "\nimport socket\nprint(1)\n", "two words"])
    assert shortened(command, {}) == "python3 -c '… 2 lines …' 'two words'"


def trap(text="A lesson."):
    outcomes = {"broken": "It fails.", "fixed": "It works."}
    programs = {"BROKEN": "import this", "FIXED": "import that"}
    return Scenario("trap", "A trap", text, lambda lab: {}, lambda record: None, outcomes, programs)


def told(verdict, story=True, **options):
    """The view of a pitfall that ended with this verdict."""
    console = Console(file=io.StringIO(), width=100)
    view = View(console, story=story, **options)
    scenario = trap()
    view.begin(scenario)
    for at, variant in enumerate(("broken", "fixed"), 1):
        view.observe(VariantBegan(float(at), "lab", variant))
        view.observe(said(f"output {at}"))
    view.end(Outcome(scenario, Path("runs/x"), verdict, "" if verdict == "pass" else "made up"))
    return console.file.getvalue()


def test_a_pitfall_ends_with_its_lesson():
    parts = ["broken ──", "output 1", "fixed ──", "output 2", "PASS", "broken: It fails.", "fixed: It works."]
    parts += ["Why", "A lesson.", "What to change", "-import this", "+import that"]
    rest = told("pass")
    for part in parts:
        _, found, rest = rest.partition(part)
        assert found, part


def test_the_texts_are_in_the_readers_language():
    output = told("pass", language="zh-CN")
    assert all(word in output for word in ("错误写法", "正确写法", "原因", "怎样改"))
    assert "Why" not in output


def test_what_is_cut_is_counted_in_the_readers_language():
    events = [said("x" * (MAX_CHARACTERS + 7)), *(said("line") for _ in range(MAX_LINES))]
    output = shown([*events, ProgramExited(0.0, "win10", 1, 0)], width=1000, language="zh-CN")
    assert "… 另有 7 个字符" in output
    assert "… 另有 1 行；退出码 0" in output
    command = shlex.join(["python3", "-c", "\nimport socket\nprint(1)\n"])
    assert shortened(command, {}, "zh-CN") == "python3 -c '… 2 行 …'"


def test_each_node_has_its_colour_and_the_same_one_in_every_view():
    views = [View(Console(file=io.StringIO(), force_terminal=True, width=100)) for _ in range(2)]
    lines = []
    for view, order in zip(views, (["kali", "win10"], ["win10", "kali"]), strict=True):
        view.show_nodes(NODES)
        for name in order:
            view.observe(said("x", node=name))
        lines.append(sorted(view._console.file.getvalue().splitlines()))
    assert lines[0] == lines[1]
    assert len({line.partition("m")[0] for line in lines[0]}) == 2


def test_a_failed_pitfall_shows_neither_its_outcomes_nor_its_lesson():
    output = told("fail")
    assert "made up" in output
    assert not any(words in output for words in ("It fails.", "It works.", "A lesson.", "What to change"))


def test_among_others_a_pitfall_shows_only_its_outcomes():
    output = told("pass", story=False)
    assert "broken: It fails." in output
    assert "A lesson." not in output


def test_several_scenarios_are_summed_up():
    console = Console(file=io.StringIO(), width=100)
    outcomes = [
        Outcome(trap(), Path("runs/x"), verdict, seconds=1.25) for verdict in ("pass", "fail", "pass")
    ]
    View(console).sum_up(outcomes)
    assert console.file.getvalue().splitlines() == ["3 scenarios: 2 × pass  1 × fail  3.8 s", "  trap: fail"]


@pytest.mark.parametrize(("option", "scenario_asks"), [(False, False), (True, False), (False, True)])
def test_pure_acks_are_shown_if_the_option_or_the_scenario_asks_for_them(option, scenario_asks):
    console = Console(file=io.StringIO(), width=100)
    scenario = replace(trap(), acks=scenario_asks)
    View(console, acks=option).end(Outcome(scenario, Path("runs/x"), "pass", traffic=traffic(handshake())))
    shown = option or scenario_asks
    assert ("─ ACK ─" in console.file.getvalue(), "--acks" in console.file.getvalue()) == (shown, not shown)


# --- many nodes --------------------------------------------------------------------------------------------


def many(count):
    return [node(f"host-{number}") for number in range(1, count + 1)]


def styles(view, nodes):
    view.show_nodes(nodes)
    return [view._colour(found.title) for found in nodes]


def test_more_than_eight_nodes_have_the_same_colours_with_another_mark():
    found = styles(View(Console(file=io.StringIO())), many(20))
    assert len(set(found)) == 20
    assert [style.partition(" ")[0] for style in found[8:16]] == found[:8]


def test_hosts_without_room_for_a_column_are_named_and_their_lines_have_a_prefix():
    console = Console(file=io.StringIO(), width=80)
    view = View(console, columns=True)
    view.show_nodes(many(5))
    view.observe(said("inside", "host-1"))
    view.observe(said("outside", "host-5"))
    heads, note, inside, outside = console.file.getvalue().splitlines()
    assert all(name in heads for name in ("host-1", "host-2", "host-3"))
    assert note == "without a column: host-4, host-5; --nodes selects columns"
    assert "│ inside" in inside
    assert outside.strip() == "host-5 │ outside"
    assert max(map(len, (heads, inside))) <= 80


def test_the_chosen_nodes_have_the_columns():
    console = Console(file=io.StringIO(), width=80)
    view = View(console, columns=True, nodes=["host-5", "host-2"])
    view.show_nodes(many(5))
    assert console.file.getvalue().split() == ["time", "│", "host-2", "│", "host-5"]


def test_a_router_as_the_only_chosen_node_leaves_no_columns():
    view = View(Console(file=io.StringIO(), width=80), columns=True, nodes=["router"])
    view.show_nodes(NODES)
    view.observe(said("x"))
    assert view._console.file.getvalue().strip() == "win10 │ x"


def test_an_unknown_node_is_an_error_that_lists_the_names():
    view = View(Console(file=io.StringIO()), nodes=["kali", "nobody"])
    with pytest.raises(UsageError, match="no node 'nobody'; there are kali, router, win10"):
        view.show_nodes(NODES)


def test_the_packets_of_the_chosen_nodes_are_shown():
    console = Console(file=io.StringIO(), width=100)
    view = View(console, nodes=["kali", "router"])
    view.show_nodes(NODES)
    view.end(Outcome(trap(), Path("runs/x"), "pass", traffic=traffic(handshake())))
    assert "without a column: win10 (3 packets aren't shown)" in console.file.getvalue()


def test_a_node_with_a_program_has_a_column_among_the_packets(tmp_path):
    found = load(office(tmp_path / "run").save())
    console = Console(file=io.StringIO(), width=250)
    view = View(console)
    view.observe(ProgramStarted(0.0, "bob", 1, "true"))
    view.end(Outcome(trap(), Path("runs/x"), "pass", traffic=found))
    assert "without a column: carol, erin;" in console.file.getvalue()
