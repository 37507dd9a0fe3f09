"""Text that is safe to print."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.printable import printable, shown


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("plain, 你好", "plain, 你好"),
        ("\x1b[2J\n", "\\x1b[2J\\n"),
        (os.fsdecode(b"a\xff\x1b[2J\n"), "a\\xff\\x1b[2J\\n"),
        ("\ud800", "\\ud800"),
    ],
)
def test_control_characters_and_undecodable_bytes_are_escaped(text, safe):
    assert printable(text) == safe


@given(st.text())
def test_any_text_becomes_printable(text):
    assert printable(text).isprintable()


def test_long_data_is_cut():
    assert shown(b"x" * 20, 10) == "xxxxxxxxxx… (20 bytes)"
    assert shown(b"\xff", 10) == "\\xff"
