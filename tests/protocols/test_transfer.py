"""The messages of the transfer session, from honest and hostile peers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.protocols import framing, transfer
from lab.protocols.errors import RemoteProtocolError
from lab.protocols.names import MAX_COMPONENTS, MAX_NAME
from lab.protocols.transfer import (
    ANSWERS,
    ENTRIES_PER_FRAME,
    REQUESTS,
    Content,
    Data,
    Entries,
    Entry,
    Get,
    List,
    Put,
    Refusal,
    encode_answer,
    encode_request,
    parse_answer,
    parse_request,
)
from tests.protocols.test_names import BAD_NAMES, good_names

DIGEST = "0123456789abcdef" * 4

paths = st.lists(good_names, max_size=5).map(tuple)
sizes = st.integers(0, 2**53)
flags = st.booleans()
modes = st.integers(0, 0o777)
mtimes = st.floats(0, 2**33)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=50)
kinds = st.sampled_from(transfer.KINDS)
entries = st.builds(Entry, good_names, kinds, sizes, modes, mtimes)
codes = st.from_regex("[a-z][a-z-]{0,20}", fullmatch=True)

requests = st.one_of(
    st.builds(Put, paths.filter(bool), size=sizes, mode=modes, mtime=mtimes),
    st.builds(Put, paths.filter(bool), offset=st.integers(1, 99), prefix_digest=digests, size=st.just(100)),
    st.builds(Get, paths.filter(bool)),
    st.builds(Get, paths.filter(bool), offset=st.integers(1, 2**53), prefix_digest=digests),
    st.builds(transfer.FindPartial, paths),
    st.builds(List, paths),
    st.builds(transfer.Stat, paths, flags),
    st.builds(transfer.Remove, paths, flags),
    st.builds(transfer.MakeDirectory, paths, flags),
    st.builds(transfer.Digest, digests),
    st.just(Data()),
)
answers = st.one_of(
    st.just(transfer.Ready()),
    st.builds(transfer.Stored, sizes, digests),
    st.builds(transfer.Digest, digests),
    st.builds(transfer.Partial, sizes),
    st.builds(Entries, st.lists(entries, max_size=ENTRIES_PER_FRAME).map(tuple)),
    st.just(transfer.EndOfList()),
    st.builds(transfer.Status, kinds, sizes, modes, mtimes, digests | st.just("")),
    st.builds(transfer.Done, sizes),
    st.builds(transfer.Error, codes, texts),
)


def header_of(frame: bytes) -> framing.Fields:
    """The header that a decoder returns when fed byte by byte."""
    decoder = framing.Decoder()
    for byte in frame:
        for event in decoder.feed(bytes([byte])):
            if isinstance(event, framing.Header):
                return event.fields
    raise AssertionError("no header")


@given(requests)
def test_a_request_arrives_as_it_was_sent(request: transfer.Message) -> None:
    assert parse_request(header_of(encode_request(request))) == request


@given(answers)
def test_an_answer_arrives_as_it_was_sent(answer: transfer.Message) -> None:
    assert parse_answer(header_of(encode_answer(answer))) == answer


def test_every_message_has_a_round_trip_test() -> None:
    sent = {"data", "digest", "put", "get", "find-partial", "list", "stat", "remove", "mkdir"}
    assert set(REQUESTS) == sent
    received = {
        "ready",
        "stored",
        "content",
        "digest",
        "partial",
        "entries",
        "end",
        "status",
        "done",
        "error",
    }
    assert set(ANSWERS) == received


def test_content_has_the_number_of_bytes_that_follow() -> None:
    content = Content(size=10, offset=4, mode=0o644, mtime=1.5)
    assert parse_answer(header_of(encode_answer(content, 6))) == content
    for lie in (0, 5, 7, 10):
        with pytest.raises(RemoteProtocolError):
            parse_answer(header_of(encode_answer(content, lie)))


def test_the_longest_entries_fit_one_header() -> None:
    worst = [
        Entry('"' * MAX_NAME, "directory", 2**53, 0o777, 8589934591.123457),
        Entry("\\xff" * MAX_NAME, "unnamable", 2**53, 0o777, 8589934591.123457),
    ]
    for entry in worst:
        many = Entries((entry,) * ENTRIES_PER_FRAME)
        assert parse_answer(header_of(encode_answer(many))) == many


@pytest.mark.parametrize("name", BAD_NAMES.values(), ids=BAD_NAMES.keys())
@pytest.mark.parametrize("op", ["put", "get", "list", "stat", "remove", "mkdir", "find-partial"])
def test_a_bad_name_from_the_peer_is_only_refused(op: str, name: str) -> None:
    with pytest.raises(Refusal) as caught:
        parse_request({"op": op, "path": ["ok", name], "total_size": 0})
    assert caught.value.code == "name-refused"


def test_the_number_of_components_in_a_path_is_limited() -> None:
    assert List(("d",) * MAX_COMPONENTS)
    with pytest.raises(Refusal):
        parse_request({"op": "list", "path": ["d"] * (MAX_COMPONENTS + 1), "total_size": 0})


PUT: dict[str, Any] = {**asdict(Put(("a",), size=9)), "op": "put", "total_size": 0}

BAD_REQUESTS: list[dict[str, Any]] = [
    {},
    {"op": "format"},
    {"op": None},
    {"op": ["put"]},
    {"op": {}},
    {"op": "ready"},
    {"op": "put"},
    {"op": "list", "path": "a/b"},
    {"op": "list", "path": {"a": 1}},
    {"op": "list", "path": None},
    {"op": "get", "path": []},
    {"op": "list", "path": [], "total_size": 1},
    {**PUT, "size": -1},
    {**PUT, "size": True},
    {**PUT, "size": "9"},
    {**PUT, "size": 9.0},
    {**PUT, "size": 2**53 + 1},
    {**PUT, "offset": 10, "prefix_digest": DIGEST},
    {**PUT, "offset": 1},
    {**PUT, "prefix_digest": DIGEST},
    {**PUT, "offset": 1, "prefix_digest": DIGEST.upper()},
    {**PUT, "offset": 1, "prefix_digest": DIGEST + "\n"},
    {**PUT, "offset": 1, "prefix_digest": None},
    {**PUT, "algorithm": "md5"},
    {**PUT, "mode": 0o4755},
    {**PUT, "mode": -1},
    {**PUT, "mtime": -1.0},
    {**PUT, "mtime": 1e300},
    {**PUT, "mtime": float("nan")},
    {**PUT, "mtime": "now"},
    {**PUT, "total_size": 9},
    {"op": "remove", "path": ["a"], "recursive": 1},
    {"op": "digest", "digest": ""},
    {"op": "digest", "digest": "0" * 63},
]


@pytest.mark.parametrize("fields", BAD_REQUESTS, ids=repr)
def test_a_meaningless_request_is_a_protocol_error(fields: dict[str, Any]) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse_request({"total_size": 0, **fields})
    assert str(caught.value).isprintable()


def test_the_bad_requests_are_variants_of_a_good_one() -> None:
    assert parse_request(PUT) == Put(("a",), size=9)
    assert parse_request({**PUT, "offset": 1, "prefix_digest": DIGEST, "new": "key"})


ENTRY = {"name": "a", "kind": "file", "size": 1, "mode": 0o644, "mtime": 1.0}


@pytest.mark.parametrize(
    "entry",
    [
        {**ENTRY, "name": "../a"},
        {**ENTRY, "name": ".."},
        {**ENTRY, "name": "\x1b"},
        {**ENTRY, "name": 7},
        {**ENTRY, "name": "x" * 2000, "kind": "unnamable"},
        {**ENTRY, "kind": "socket"},
        {**ENTRY, "kind": []},
        {**ENTRY, "size": -1},
        {"name": "a"},
        "a",
        None,
    ],
    ids=repr,
)
def test_invalid_entries_from_a_server_are_refused(entry: object) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_answer({"status": "entries", "entries": [ENTRY, entry], "total_size": 0})


def test_the_number_of_entries_per_message_is_limited() -> None:
    with pytest.raises(RemoteProtocolError):
        parse_answer({"status": "entries", "entries": [ENTRY] * (ENTRIES_PER_FRAME + 1), "total_size": 0})


@given(st.dictionaries(st.text(max_size=10), st.none() | st.booleans() | sizes | texts, max_size=6))
def test_garbage_is_not_taken_for_a_message(fields: dict[str, Any]) -> None:
    for parse in (parse_request, parse_answer):
        with pytest.raises(RemoteProtocolError):
            parse({**fields, "op": fields.get("op"), "status": fields.get("status"), "total_size": 0})
