"""The client with lying servers, and with existing local files and parts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from lab.programs.transfer.client import Outcome
from lab.programs.transfer.frame_stream import TimeLimits
from lab.programs.transfer.storage.root import Root
from lab.protocols.errors import ProtocolError, RemoteProtocolError, TruncatedError
from lab.protocols.names import partial_name
from lab.protocols.transfer import Refusal
from tests.programs.transfer.transfer_rig import (
    MIB,
    RawPeer,
    client,
    content,
    digest,
    names_in,
    raw_server,
    server,
)

HIDDEN = partial_name("f", 0)
DATA = content(3 * MIB + 9)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


def get(port: int, here: Path, **options: Any) -> Outcome:
    with client(port) as ours, Root(str(here)) as root:
        return ours.get(("f",), root, ("f",), lambda _: None, **options)


def say_content(peer: RawPeer, data: bytes, offset: int = 0, **lies: Any) -> None:
    fields = {"size": len(data), "offset": offset, "mode": 0o644, "mtime": 1.0}
    peer.send(data[offset:], **{"status": "content", **fields, **lies})


def lie_about_size(peer: RawPeer) -> None:
    say_content(peer, DATA, size=len(DATA) + 1)


def lie_about_offset(peer: RawPeer) -> None:
    say_content(peer, DATA, offset=MIB)
    peer.send(status="digest", digest=digest(DATA))


def end_early(peer: RawPeer) -> None:
    fields = {"status": "content", "size": len(DATA), "offset": 0, "mode": 0o644, "mtime": 1.0}
    peer.send(DATA[:-1], **fields, total_size=len(DATA))


def leave_out_the_digest(peer: RawPeer) -> None:
    say_content(peer, DATA)


def say_a_wrong_digest(peer: RawPeer) -> None:
    say_content(peer, DATA)
    peer.send(status="digest", digest=digest(b"other"))


def say_a_digest_that_is_none(peer: RawPeer) -> None:
    say_content(peer, DATA)
    peer.send(status="digest", digest="../../etc/passwd")


def declare_more_than_any_disk_has(peer: RawPeer) -> None:
    peer.send(status="content", size=2**53, offset=0, mode=0o644, mtime=1.0, total_size=2**53)


def set_the_setuid_bit(peer: RawPeer) -> None:
    say_content(peer, DATA, mode=0o4755)


def answer_something_else(peer: RawPeer) -> None:
    peer.send(status="stored", size=1, digest=digest(b""))


def answer_garbage(peer: RawPeer) -> None:
    peer.socket.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


LIARS = {
    lie_about_size: RemoteProtocolError,
    lie_about_offset: RemoteProtocolError,
    end_early: TruncatedError,
    leave_out_the_digest: TruncatedError,
    say_a_wrong_digest: Refusal,
    say_a_digest_that_is_none: RemoteProtocolError,
    declare_more_than_any_disk_has: Refusal,
    set_the_setuid_bit: RemoteProtocolError,
    answer_something_else: RemoteProtocolError,
    answer_garbage: RemoteProtocolError,
}


@pytest.mark.parametrize("lie", LIARS, ids=lambda lie: lie.__name__)
def test_nothing_is_stored_from_a_lying_server(here: Path, lie: Any) -> None:
    (here / "f").write_bytes(b"old")

    def talk(peer: RawPeer) -> None:
        assert peer.receive()["op"] == "get"
        lie(peer)

    with raw_server(talk) as port, pytest.raises(LIARS[lie]) as caught:
        get(port, here)
    assert str(caught.value).isprintable()
    assert (here / "f").read_bytes() == b"old"
    assert set(names_in(here)) <= {"f", HIDDEN}


def test_an_interrupted_get_is_resumed(here: Path) -> None:
    def break_off(peer: RawPeer) -> None:
        peer.receive()
        end_early(peer)

    def go_on(peer: RawPeer) -> None:
        assert peer.receive()["op"] == "stat"
        peer.send(status="status", kind="file", size=len(DATA), mode=0o644, mtime=1.0)
        request = peer.receive()
        assert (request["offset"], request["prefix_digest"]) == (3 * MIB, digest(DATA[: 3 * MIB]))
        say_content(peer, DATA, offset=3 * MIB)
        peer.send(status="digest", digest=digest(DATA))

    with raw_server(break_off) as port, pytest.raises(TruncatedError):
        get(port, here)
    assert names_in(here) == [HIDDEN]
    with raw_server(go_on) as port:
        assert get(port, here).resumed_from == 3 * MIB
    assert (here / "f").read_bytes() == DATA
    assert names_in(here) == ["f"]


def test_a_part_of_another_file_is_replaced(here: Path, tmp_path: Path) -> None:
    (here / HIDDEN).write_bytes(content(2 * MIB, b"other"))
    (here / HIDDEN).chmod(0o600)
    there = tmp_path / "there"
    there.mkdir()
    (there / "f").write_bytes(DATA)
    with server(there) as port:
        outcome = get(port, here)
    assert (outcome.resumed_from, outcome.digest) == (0, digest(DATA))
    assert (here / "f").read_bytes() == DATA
    assert names_in(here) == ["f"]


def test_no_resume_starts_over(here: Path, tmp_path: Path) -> None:
    (here / HIDDEN).write_bytes(DATA[:MIB])
    there = tmp_path / "there"
    there.mkdir()
    (there / "f").write_bytes(DATA)
    with server(there) as port:
        assert get(port, here, resume=False).resumed_from == 0
    assert (here / "f").read_bytes() == DATA


def test_a_refused_get_leaves_nothing(here: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    with server(there) as port, pytest.raises(Refusal) as caught:
        get(port, here)
    assert caught.value.code == "not-found"
    assert names_in(here) == []


def put(port: int, source: Path, **options: Any) -> Outcome:
    with client(port) as ours, open(source, "rb", buffering=0) as file:
        return ours.put(file, ("f",), lambda _: None, **options)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


def test_a_resumed_put_sends_only_the_rest(source: Path) -> None:
    def talk(peer: RawPeer) -> None:
        assert peer.receive()["op"] == "find-partial"
        peer.send(status="partial", offset=MIB)
        request = peer.receive()
        assert (request["offset"], request["prefix_digest"]) == (MIB, digest(DATA[:MIB]))
        peer.send(status="ready")
        assert peer.receive()["total_size"] == len(DATA) - MIB
        assert peer.exactly(len(DATA) - MIB) == DATA[MIB:]
        assert peer.receive()["digest"] == digest(DATA)
        peer.send(status="stored", size=len(DATA), digest=digest(DATA))

    with raw_server(talk) as port:
        assert put(port, source) == Outcome(len(DATA), digest(DATA), MIB)


@pytest.mark.parametrize("claim", [len(DATA) + 1, 2**53])
def test_a_claim_of_more_than_the_file_has_is_ignored(source: Path, claim: int) -> None:
    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="partial", offset=claim)
        assert peer.receive()["offset"] == 0
        peer.send(status="error", code="denied", text="no")

    with raw_server(talk) as port, pytest.raises(Refusal):
        put(port, source)


def test_a_conflict_starts_the_put_over(source: Path, tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / HIDDEN).write_bytes(content(2 * MIB, b"other"))
    with server(there) as port:
        assert put(port, source).resumed_from == 0
    assert (there / "f").read_bytes() == DATA
    assert names_in(there) == ["f"]


@pytest.mark.parametrize("lie", [{"size": 1}, {"digest": digest(b"other")}], ids=str)
def test_a_wrong_confirmation_of_the_server_is_an_error(source: Path, lie: dict[str, Any]) -> None:
    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="partial", offset=0)
        peer.receive()
        peer.send(status="ready")
        peer.exactly(peer.receive()["total_size"])
        peer.receive()
        peer.send(**{"status": "stored", "size": len(DATA), "digest": digest(DATA), **lie})

    with raw_server(talk) as port, pytest.raises(ProtocolError) as caught:
        put(port, source)
    assert caught.value.code == "digest-mismatch"


def test_an_error_of_the_server_during_a_put_is_reported(tmp_path: Path) -> None:
    """The server answers during the put, stops reading and closes. The reason must not be lost."""
    source = tmp_path / "large"
    source.touch()
    os.truncate(source, 512 * MIB)

    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="partial", offset=0)
        peer.receive()
        peer.send(status="ready")
        peer.receive()
        peer.exactly(100)
        peer.send(status="error", code="no-space", text="f: no space left on the device")

    with raw_server(talk) as port, pytest.raises(Refusal) as caught:
        put(port, source)
    assert caught.value.code == "no-space"


@pytest.mark.parametrize("taken", [0, 100])
def test_a_server_that_closes_during_a_put(tmp_path: Path, taken: int) -> None:
    source = tmp_path / "large"
    source.touch()
    os.truncate(source, 512 * MIB)

    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="partial", offset=0)
        peer.receive()
        peer.send(status="ready")
        peer.receive()
        peer.exactly(taken)

    with raw_server(talk) as port, pytest.raises(TruncatedError):
        put(port, source)


@pytest.mark.parametrize("name", ["../f", "/f", "..", "a\0", "\x1b[2J"])
def test_a_listing_with_a_hostile_name_is_refused(name: str) -> None:
    def talk(peer: RawPeer) -> None:
        peer.receive()
        entry = {"name": name, "kind": "file", "size": 1, "mode": 0o644, "mtime": 1.0}
        peer.send(status="entries", entries=[entry])

    with raw_server(talk) as port, client(port) as ours, pytest.raises(RemoteProtocolError):
        list(ours.entries(()))


def test_a_silent_server_times_out(here: Path) -> None:
    def talk(peer: RawPeer) -> None:
        peer.receive()
        assert peer.at_end()

    with raw_server(talk) as port, client(port, TimeLimits(idle=0.2)) as ours, pytest.raises(TimeoutError):
        ours.stat(())
