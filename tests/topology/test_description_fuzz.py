"""Any TOML with the known keys is a topology that can be planned, or has mistakes with line numbers."""

import json
import re
from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from lab.topology.description import DescriptionError, parse
from lab.topology.plan import plan
from lab.topology.reading import keys

NAMES = st.sampled_from(["a", "b", "c", "router", "x y", "", "A", "é", "0", "mgmt", "a" * 64, "a\nb"])
TEXTS = st.one_of(
    NAMES,
    st.text(max_size=8),
    st.sampled_from(
        [
            "10.1.1.0/24", "10.1.2.0/29", "10.1.1.7", "10.1.1.300", "10.0.0.0/0", "::/0", "fd28::/64",
            "fd28::7", "fe80::1%eth0/64", "fd28::7%x", "1/2", "/", "10.1.1.0/٢٤", "tcp 80", "tcp ٨٠",
            "tcp 99999999999999", "http /", "http 80/x", "log ", "a:80", "a:", ":1", "::1:80", "windows",
            "$X", "$", "~x/y:/z", "./a:/b:ro", "a:b:c:d", "a:/..", "'", "{x}", "%s", "\x00",
        ]
    ),
)  # fmt: skip
SCALARS = st.one_of(
    TEXTS, st.booleans(), st.integers(-5, 300), st.just(10**30), st.floats(), st.just(date(2026, 1, 1))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=5,
)


def toml(value):
    match value:
        case bool() | str():
            return json.dumps(value).replace("\\u0000", "\\u0001").replace("\x7f", "")
        case float():
            return {"Infinity": "inf", "-Infinity": "-inf", "NaN": "nan"}.get(text := json.dumps(value), text)
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(each)}" for key, each in value.items()) + "}"
        case _:
            return str(value)


def tables(known):
    """Tables with some of the known keys."""
    return st.dictionaries(
        NAMES, st.dictionaries(st.sampled_from([*known, "x"]), VALUES, max_size=4), max_size=3
    )


CONTENTS = st.fixed_dictionaries(
    {},
    optional={
        "name": VALUES,
        "mgmt": VALUES,
        "compose": VALUES,
        "segments": st.one_of(VALUES, st.dictionaries(NAMES, TEXTS, max_size=3), tables(keys.SEGMENT)),
        "hosts": st.one_of(VALUES, tables(keys.HOST)),
        "routers": st.one_of(VALUES, tables(keys.ROUTER)),
    },
)


@given(CONTENTS)
@settings(max_examples=200, deadline=None)
def test_any_content_is_a_topology_or_has_mistakes_with_line_numbers(content):
    text = "".join(f"{key} = {toml(value)}\n" for key, value in content.items())
    try:
        topology = parse(text)
    except DescriptionError as error:
        for line in str(error).splitlines():
            assert re.match(r"lab\.toml:[1-7]: \S.*; \S", line), line
    else:
        assert plan(topology).nodes
