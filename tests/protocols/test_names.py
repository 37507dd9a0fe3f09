"""File names from peers and users: accepted and refused ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols.errors import LocalProtocolError
from lab.protocols.names import (
    MAX_NAME,
    check_name,
    forbidden_on_windows,
    is_partial_name,
    partial_name,
    split_path,
)

names = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters="/"), min_size=1
)
good_names = names.filter(lambda name: name not in (".", "..") and len(name.encode()) <= MAX_NAME)

BAD_NAMES = {
    "empty": "",
    "dot": ".",
    "dot-dot": "..",
    "slash": "a/b",
    "absolute": "/etc",
    "nul": "a\0b",
    "newline": "a\nb",
    "escape": "\x1b[2J",
    "delete": "\x7f",
    "c1": "\x9b31m",
    "line-separator": "a\u2028b",
    "surrogate": "caf\udce9",
    "256-bytes": "x" * 256,
    "86-cjk": "文" * 86,
    "partial": partial_name("a", 0),
}


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(LocalProtocolError) as caught:
        check_name(name)
    assert caught.value.code == "name-refused"
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "name", ["a", "…", "上海 报告.txt", "x" * 255, "文" * 85, "-rf", " ", "~", "a\\b", "\u3000"]
)
def test_a_good_name_passes(name: str) -> None:
    assert check_name(name) == name


def test_paths_of_users_are_parsed() -> None:
    assert split_path("./a//b/") == ("a", "b")
    assert split_path("") == split_path(".") == ()
    for bad in ("/a", "../a", "a/../b", "a/..", "a\0"):
        with pytest.raises(LocalProtocolError):
            split_path(bad)


@given(good_names, st.integers(0, 99))
def test_a_partial_name_is_hidden_short_and_reserved(name: str, slot: int) -> None:
    hidden = partial_name(name, slot)
    assert hidden.startswith(".")
    assert len(hidden) < MAX_NAME
    assert is_partial_name(hidden)


DEVICES = [
    "CON",
    "con",
    "prn",
    "Aux",
    "nul",
    "COM1",
    "lpt9",
    "com¹",
    "CONIN$",
    "con.txt",
    "nul.tar.gz",
    "con .txt",
]
HELD = ["a:b", "a<b", "a>b", 'say "hi"', "a\\b", "a|b", "what?", "*.txt"]
DROPPED = ["report.", "report ", "...", "文件."]
GOOD_ON_WINDOWS = [
    "console",
    "com",
    "com0",
    "com10",
    "lpt",
    "contents.txt",
    ".hidden",
    "a b",
    "文件.txt",
    "x.con",
]


@pytest.mark.parametrize("name", [*DEVICES, *HELD, *DROPPED])
def test_names_forbidden_on_windows_are_refused_with_the_reason(name: str) -> None:
    for path in (name,), ("folder", name), (name, "file"):
        assert repr(name) in forbidden_on_windows(path)
        assert "Windows" in forbidden_on_windows(path)


@pytest.mark.parametrize("name", GOOD_ON_WINDOWS)
def test_similar_names_are_allowed_on_windows(name: str) -> None:
    assert forbidden_on_windows((name,)) == ""
    assert forbidden_on_windows(()) == ""
