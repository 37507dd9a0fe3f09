"""The line of each key, in all the forms that TOML has for one."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.topology.reading.lines import Lines

DOCUMENT = '''# a comment = "x"
title = "a [string] = {x} # no comment"   # 2

[a]           # 4
b.c = 5
"d e" = """6
=
""" # three lines
'f' = { g = 9, h = { i = 9 } }

[a.j]         # 11
k = [
  1,          # 13
  { l = 14 }, "]",
  [ 15,
    16 ] ]
m = 1979-05-27 07:32:00
n = -1.5e3
"quoted \\"key\\"" = 19

[[t]]
u = 22
[[t]]
u = 24
[ a . "o p" ]
q = \'\'\'#\'\'\'\'\'
r = 27
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("title", 2),
        ("a", 4),
        ("a b", 5),
        ("a b c", 5),
        ("a d_e", 6),
        ("a f g", 9),
        ("a f h i", 9),
        ("a j", 11),
        ("a j k", 12),
        ("a j k 0", 13),
        ("a j k 1 l", 14),
        ("a j k 2", 14),
        ("a j k 3", 15),
        ("a j k 3 1", 16),
        ("a j m", 17),
        ("a j n", 18),
        ('a j quoted_"key"', 19),
        ("t 0", 21),
        ("t 0 u", 22),
        ("t 1 u", 24),
        ("a o_p q", 26),
        ("a o_p r", 27),
        ("a j unknown", 11),  # the nearest table
        ("unknown", 1),
        ("a r", 4),
    ],
)
def test_the_line_of_a_key_is_found(path, line):
    tomllib.loads(DOCUMENT)
    assert Lines(DOCUMENT)[tuple(part.replace("_", " ") for part in path.split())] == line


def test_a_key_in_the_singular_stands_for_its_plural():
    lines = Lines('[hosts.a]\n\nsegments = ["x"]')
    assert lines["hosts", "a", "segment"] == 3


KEYS = st.text("ab.\" '=#[]{}", min_size=1, max_size=4)
VALUES = st.recursive(
    st.sampled_from(["1", '"x = [#"', "'}'", '"""\n]\n"""', "1.5", "true"]),
    lambda inner: st.lists(inner, max_size=3).map(lambda each: "[" + ",\n ".join(each) + " ]"),
    max_leaves=6,
)


@given(st.dictionaries(KEYS, st.dictionaries(KEYS, VALUES, max_size=3), max_size=4))
def test_the_lines_of_any_document_are_found(tables):
    text, expected = "", {}
    for table, values in tables.items():
        expected[(table,)] = text.count("\n") + 1
        text += f"[{quoted(table)}]  # comment\n"
        for key, value in values.items():
            expected[table, key] = text.count("\n") + 1
            text += f"{quoted(key)} = {value}\n\n"
    assert tomllib.loads(text).keys() == tables.keys()
    lines = Lines(text)
    assert {path: lines[path] for path in expected} == expected


def quoted(key):
    return '"' + key.replace('"', '\\"') + '"'
