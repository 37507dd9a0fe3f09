"""What a run looks like in a terminal: nothing of a program steers it, and nothing floods it."""

import io

import pytest
from rich.console import Console

from lab.control.view import MAX_LINES, View
from lab.evidence.events import Event


def shown(events, columns=(), width=100):
    console = Console(file=io.StringIO(), width=width)
    view = View(console, columns)
    for event in events:
        view.observe(event)
    return console.file.getvalue()


def said(text, node="win10", kind="stdout", program=1):
    return Event(0.0, node, kind, text, program)


def test_each_line_says_whose_it_is():
    output = shown([said("$ x", kind="start"), said("一 line"), said("bad", node="kali", kind="stderr")])
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
    output = shown([*events, said("exit code 0", kind="exit"), said("another program", program=2)])
    assert f"line {MAX_LINES - 1}\n" in output
    assert f"line {MAX_LINES}\n" not in output
    assert "… 5 more lines; exit code 0" in output
    assert "another program" in output


def test_side_by_side_each_host_has_its_column():
    output = shown([said("left", node="kali"), said("right")], columns=("kali", "win10"), width=60)
    left, right = output.splitlines()
    assert left.index("left") < 30 < right.index("right")


def test_wide_characters_and_long_lines_stay_in_their_column():
    events = [said("上海" * 20, node="kali"), said("x" * 70)]
    output = shown(events, columns=("kali", "win10"), width=60)
    assert output.count("上海") == 20
    assert output.count("x") == 70
    for line in output.splitlines():
        assert "上" not in line or "x" not in line
