"""Output becomes the same lines however its bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.remote.line_splitter import MAX_LINE, LineSplitter


def split(*pieces):
    lines = []
    splitter = LineSplitter(lines.append)
    for piece in pieces:
        splitter.feed(piece)
    splitter.end()
    return lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\n\ntwo", ["one", "", "two"]),
        (b"one\r\ntwo\r\n", ["one", "two"]),
        ("目录\n".encode(), ["目录"]),
        (b"a\xff\n\xe4\xb8", ["a\\xff", "\\xe4\\xb8"]),
    ],
)
def test_whole_and_byte_by_byte(data, lines):
    assert split(data) == lines
    assert split(*(data[i : i + 1] for i in range(len(data)))) == lines


@given(st.text(st.characters(exclude_characters="\r"), max_size=60), st.integers(0, 60))
def test_a_chunk_boundary_within_the_output_changes_nothing(text, border):
    data = text.encode(errors="backslashreplace")
    assert split(data[:border], data[border:]) == split(data)


def test_a_line_without_an_end_takes_no_unbounded_memory():
    lines = split(b"x" * MAX_LINE * 2, b"y" * 10)
    assert [len(line) for line in lines] == [MAX_LINE, MAX_LINE, 10]
