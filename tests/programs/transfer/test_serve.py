"""The transfer server with correct clients and hostile raw peers."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.programs.transfer.frame_stream import TimeLimits
from lab.protocols.framing import MAX_HEADER
from lab.protocols.names import partial_name
from lab.protocols.transfer import RESUME_ALIGNMENT, Refusal
from tests.programs.transfer.transfer_rig import (
    MIB,
    RawPeer,
    client,
    content,
    digest,
    names_in,
    server,
    wait_until,
)

HIDDEN = partial_name("f", 0)
BIG = 5 * MIB + 4097
SHORT = TimeLimits(idle=0.3, header=0.3)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


def put(
    peer: RawPeer, data: bytes, name: str = "f", said: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A complete put according to the protocol; returns the last answer."""
    peer.send(op="put", path=[name], size=len(data), mode=0o644, mtime=1.0, algorithm="sha256", **fields)
    answer = peer.receive()
    if answer["status"] != "ready":
        return answer
    peer.send(data[fields.get("offset", 0) :], op="data")
    peer.send(op="digest", digest=said or digest(data))
    return peer.receive()


def still_serves(port: int) -> bool:
    with RawPeer.to(port) as peer:
        peer.send(op="list", path=[])
        return peer.receive()["status"] in ("entries", "end")


# ------------------------------------------------------------------------------ storing


@pytest.mark.parametrize("size", [0, 1, 65_536, MIB, BIG])
def test_a_get_returns_the_stored_put(root: Path, size: int) -> None:
    data = content(size)
    with server(root) as port, RawPeer.to(port) as peer:
        answer = put(peer, data)
        assert (answer["status"], answer["size"], answer["digest"]) == ("stored", size, digest(data))
        peer.send(op="get", path=["f"])
        answer = peer.receive()
        assert (answer["status"], answer["size"], answer["total_size"]) == ("content", size, size)
        assert peer.exactly(size) == data
        assert peer.receive()["digest"] == digest(data)
    assert names_in(root) == ["f"]


def test_mode_and_time_are_kept(root: Path) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=0, mode=0o755, mtime=1_000_000_000.25)
        peer.receive()
        peer.send(op="data")
        peer.send(op="digest", digest=digest(b""))
        peer.receive()
        peer.send(op="stat", path=["f"], want_digest=True)
        status = peer.receive()
    assert (status["mode"], status["mtime"], status["digest"]) == (0o755, 1_000_000_000.25, digest(b""))


def test_a_wrong_digest_stores_nothing_and_the_session_goes_on(root: Path) -> None:
    (root / "f").write_bytes(b"old")
    with server(root) as port, RawPeer.to(port) as peer:
        answer = put(peer, content(BIG), said=digest(b"other"))
        assert (answer["status"], answer["code"]) == ("error", "digest-mismatch")
        assert names_in(root) == ["f"]
        assert (root / "f").read_bytes() == b"old"
        assert put(peer, b"new")["status"] == "stored"
    assert (root / "f").read_bytes() == b"new"


def test_of_two_puts_of_one_name_the_last_to_finish_wins(root: Path) -> None:
    """Both are in progress; the one that began first ends last."""
    one, two = content(BIG, b"one"), content(3 * MIB, b"two")
    with server(root) as port, RawPeer.to(port) as first, RawPeer.to(port) as second:
        for peer, data in ((first, one), (second, two)):
            peer.send(op="put", path=["f"], size=len(data))
            assert peer.receive()["status"] == "ready"
        first.socket.sendall(_frame_start({"op": "data"}, BIG) + one[: 2 * MIB])
        second.send(two, op="data")
        second.send(op="digest", digest=digest(two))
        assert second.receive()["status"] == "stored"
        assert (root / "f").read_bytes() == two
        first.socket.sendall(one[2 * MIB :])
        first.send(op="digest", digest=digest(one))
        assert first.receive()["status"] == "stored"
        assert (root / "f").read_bytes() == one
    assert names_in(root) == ["f"]


def test_concurrent_puts_of_one_name_never_mix(root: Path) -> None:
    contents = [content(2 * MIB + n, bytes([n])) for n in range(6)]
    answers: list[str] = []

    def run(data: bytes) -> None:
        for _ in range(5):
            with RawPeer.to(port) as peer:
                answers.append(put(peer, data)["status"])

    with server(root) as port:
        threads = [threading.Thread(target=run, args=(data,)) for data in contents]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            if (root / "f").exists():
                assert (root / "f").read_bytes() in contents
        for thread in threads:
            thread.join()
    assert answers == ["stored"] * 30
    assert names_in(root) == ["f"]


def test_a_directory_replaced_during_a_put_never_leads_outside(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "d").mkdir()
    data = content(BIG)
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="put", path=["d", "f"], size=BIG)
        assert peer.receive()["status"] == "ready"
        peer.socket.sendall(_frame_start({"op": "data"}, BIG) + data[:MIB])
        (root / "d").rename(root / "moved")
        (root / "d").symlink_to(outside)
        peer.socket.sendall(data[MIB:])
        peer.send(op="digest", digest=digest(data))
        assert peer.receive()["status"] == "stored"
        peer.send(op="get", path=["d", "f"])
        assert peer.receive()["code"] == "not-a-directory"
    assert names_in(outside) == []
    assert (root / "moved" / "f").read_bytes() == data


# ------------------------------------------------------------------------------ resuming


def leave_partial(port: int, root: Path, data: bytes, sent: int) -> None:
    """A client that vanishes after ``sent`` bytes of a put."""
    with RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=len(data))
        assert peer.receive()["status"] == "ready"
        peer.socket.sendall(_frame_start({"op": "data"}, len(data)) + data[:sent])
    kept = sent // RESUME_ALIGNMENT * RESUME_ALIGNMENT
    wait_until(lambda: found_partial(port) == kept, f"{kept} bytes kept")


def found_partial(port: int) -> int:
    with RawPeer.to(port) as peer:
        peer.send(op="find-partial", path=["f"])
        offset = peer.receive()["offset"]
        assert isinstance(offset, int)
        return offset


def _frame_start(fields: dict[str, Any], total_size: int) -> bytes:
    header = json.dumps({**fields, "total_size": total_size}).encode()
    return struct.pack("<i", len(header)) + header


def test_an_interrupted_put_leaves_a_resumable_part(root: Path) -> None:
    data = content(BIG)
    with server(root) as port:
        leave_partial(port, root, data, 3 * MIB + 77)
        assert names_in(root) == [HIDDEN]
        with RawPeer.to(port) as peer:
            peer.send(op="list", path=[])
            assert peer.receive()["status"] == "end"
            answer = put(peer, data, offset=3 * MIB, prefix_digest=digest(data[: 3 * MIB]))
            assert answer["status"] == "stored"
    assert names_in(root) == ["f"]
    assert (root / "f").read_bytes() == data


def test_a_client_takes_over_from_its_own_connection_that_stalled(root: Path) -> None:
    """As after a partition: the server hasn't detected yet that the old connection is dead."""
    data = content(BIG)
    with server(root) as port, stalled_put(port, data[: 3 * MIB]) as old:
        wait_until(lambda: found_partial(port) == 3 * MIB, "the stalled put has let go")
        assert old.at_end()
        with RawPeer.to(port) as peer:
            answer = put(peer, data, offset=3 * MIB, prefix_digest=digest(data[: 3 * MIB]))
            assert answer["status"] == "stored"
    assert names_in(root) == ["f"]


def test_an_active_put_is_not_taken_over(root: Path) -> None:
    data = content(BIG)
    with server(root) as port, stalled_put(port, data[:MIB]) as first:
        for start in range(MIB, BIG, MIB):
            first.socket.sendall(data[start : start + MIB])
            assert found_partial(port) == 0
        first.send(op="digest", digest=digest(data))
        assert first.receive()["status"] == "stored"


@contextlib.contextmanager
def stalled_put(port: int, start: bytes) -> Iterator[RawPeer]:
    """A put of BIG bytes of which only ``start`` is sent."""
    with RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=BIG)
        assert peer.receive()["status"] == "ready"
        peer.socket.sendall(_frame_start({"op": "data"}, BIG) + start)
        yield peer


def test_a_client_that_vanishes_early_leaves_nothing(root: Path) -> None:
    with server(root) as port:
        with RawPeer.to(port) as peer:
            peer.send(op="put", path=["f"], size=BIG)
            assert peer.receive()["status"] == "ready"
            assert names_in(root) == [HIDDEN]
        wait_until(lambda: names_in(root) == [], "the partial file goes")


@pytest.mark.parametrize("offset", [MIB, 2 * MIB + 1, 4 * MIB])
def test_a_stale_offset_is_a_conflict_and_changes_nothing(root: Path, offset: int) -> None:
    data = content(BIG)
    with server(root) as port:
        leave_partial(port, root, data, 3 * MIB)
        (root / "f").write_bytes(b"old")
        with RawPeer.to(port) as peer:
            answer = put(peer, data, offset=offset, prefix_digest=digest(data[:offset]))
            assert answer["code"] == "conflict"
            assert (root / HIDDEN).read_bytes() == data[: 3 * MIB]
            assert (root / "f").read_bytes() == b"old"
            assert put(peer, b"goes on")["status"] == "stored"


def test_a_stale_prefix_is_a_conflict_and_changes_nothing(root: Path) -> None:
    data = content(BIG)
    with server(root) as port:
        leave_partial(port, root, data, 3 * MIB)
        with RawPeer.to(port) as peer:
            answer = put(peer, data, offset=3 * MIB, prefix_digest=digest(b"other"))
            assert answer["code"] == "conflict"
        assert names_in(root) == [HIDDEN]
        assert found_partial(port) == 3 * MIB


def test_resuming_without_a_part_is_a_conflict(root: Path) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        data = content(BIG)
        assert put(peer, data, offset=MIB, prefix_digest=digest(data[:MIB]))["code"] == "conflict"
    assert names_in(root) == []


def test_a_resumed_put_of_other_bytes_fails_its_digest(root: Path) -> None:
    data = content(BIG)
    with server(root) as port:
        leave_partial(port, root, data, 2 * MIB)
        other = data[: 2 * MIB] + content(BIG - 2 * MIB, b"other")
        with RawPeer.to(port) as peer:
            answer = put(
                peer, other, said=digest(data), offset=2 * MIB, prefix_digest=digest(data[: 2 * MIB])
            )
            assert answer["code"] == "digest-mismatch"
    assert names_in(root) == []


def test_a_get_resumes_and_a_stale_prefix_is_a_conflict(root: Path) -> None:
    data = content(BIG)
    (root / "f").write_bytes(data)
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="get", path=["f"], offset=MIB, prefix_digest=digest(data[:MIB]))
        answer = peer.receive()
        assert (answer["size"], answer["offset"], answer["total_size"]) == (BIG, MIB, BIG - MIB)
        assert peer.exactly(BIG - MIB) == data[MIB:]
        assert peer.receive()["digest"] == digest(data)
        peer.send(op="get", path=["f"], offset=MIB, prefix_digest=digest(b""))
        assert peer.receive()["code"] == "conflict"
        peer.send(op="get", path=["f"], offset=BIG + 1, prefix_digest=digest(data))
        assert peer.receive()["code"] == "conflict"


# ---------------------------------------------------------------------- refused requests

NAMES = [
    [".."],
    ["a", "..", "b"],
    ["/etc/passwd"],
    ["a/b"],
    ["a\0"],
    ["a\n"],
    ["\x1b[2J"],
    [""],
    ["x" * 256],
    [HIDDEN],
]


@pytest.mark.parametrize("path", NAMES, ids=repr)
@pytest.mark.parametrize("op", ["put", "get", "list", "stat", "remove", "mkdir", "find-partial"])
def test_a_bad_name_is_refused_and_the_session_goes_on(root: Path, op: str, path: list[str]) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op=op, path=path, size=0)
        answer = peer.receive()
        assert (answer["status"], answer["code"]) == ("error", "name-refused")
        assert answer["text"].isprintable()
        peer.send(op="list", path=[])
        assert peer.receive()["status"] == "end"
    assert names_in(root.parent) == ["root"]


@pytest.mark.parametrize("op", ["get", "put", "list", "stat", "remove", "mkdir"])
def test_links_to_the_outside_are_refused(root: Path, tmp_path: Path, op: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    (root / "out").symlink_to(outside)
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op=op, path=["out", "secret"], size=0)
        assert peer.receive()["code"] == "not-a-directory"
    assert (outside / "secret").read_bytes() == b"s"


def test_a_put_larger_than_the_disk_is_refused_before_the_payload(root: Path) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=2**53)
        assert peer.receive()["code"] == "no-space"
    assert names_in(root) == []


@pytest.mark.parametrize("declared", [0, 1, BIG - 1, BIG + 1])
def test_a_payload_of_the_wrong_size_ends_the_session(root: Path, declared: int) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=BIG)
        assert peer.receive()["status"] == "ready"
        peer.send(op="data", total_size=declared)
        assert peer.receive()["code"] == "bad-message"
        assert peer.at_end()
        wait_until(lambda: names_in(root) == [], "the partial file goes")
        assert still_serves(port)


def test_a_read_only_server_refuses_changes(root: Path) -> None:
    (root / "f").write_bytes(b"1")
    with server(root, read_only=True) as port, RawPeer.to(port) as peer:
        for op in ("put", "remove", "mkdir"):
            peer.send(op=op, path=["f"], size=0)
            assert peer.receive()["code"] == "read-only"
        peer.send(op="get", path=["f"])
        assert peer.receive()["status"] == "content"
    assert (root / "f").read_bytes() == b"1"


HOSTILE = {
    "negative-length": struct.pack("<i", -1),
    "short-header": struct.pack("<i", 1) + b"{",
    "long-header": struct.pack("<i", MAX_HEADER + 1),
    "huge-header": struct.pack("<i", 2**31 - 1),
    "no-json": struct.pack("<i", 4) + b"quit",
    "no-object": struct.pack("<i", 2) + b"[]",
    "no-total": struct.pack("<i", 12) + b'{"op":"list"',
    "not-utf-8": struct.pack("<i", 2) + b"\xff\xfe",
    "tutorial": b"ls -l /etc\n",
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE.keys())
def test_garbage_gets_a_typed_error_and_the_next_client_is_served(root: Path, raw: bytes) -> None:
    with server(root) as port:
        with RawPeer.to(port) as peer:
            peer.socket.sendall(raw)
            peer.socket.shutdown(socket.SHUT_WR)
            answer = peer.receive()
            assert answer["status"] == "error"
            assert answer["code"].startswith(("header-", "truncated"))
            assert peer.at_end()
        assert still_serves(port)


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "no-such"},
        {},
        {"op": "data"},
        {"op": "digest", "digest": "0" * 64},
        {"op": "list"},
        {"op": "list", "path": [], "total_size": 9},
        {"op": "put", "path": ["f"], "size": 1, "total_size": 1},
        {"op": "x" * 60_000},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_a_meaningless_request_gets_a_typed_error(root: Path, fields: dict[str, Any]) -> None:
    with server(root) as port:
        with RawPeer.to(port) as peer:
            peer.send(**fields)
            answer = peer.receive()
            assert (answer["status"], answer["code"] in ("bad-message", "out-of-place")) == ("error", True)
            assert peer.at_end()
        assert still_serves(port)


def test_another_frame_instead_of_the_digest(root: Path) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=1)
        peer.receive()
        peer.send(b"x", op="data")
        peer.send(op="list", path=[])
        assert peer.receive()["code"] == "out-of-place"
        assert peer.at_end()
    assert names_in(root) == []


def test_a_path_too_long_to_be_shown_is_refused(root: Path) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="stat", path=["x" * 255] * 100)
        assert peer.receive()["code"] == "not-found"
        peer.send(op="list", path=[])
        assert peer.receive()["status"] == "end"


# ------------------------------------------------------------------ deadlines and limits


def test_a_header_sent_too_slowly_is_aborted(root: Path) -> None:
    with server(root, limits=TimeLimits(idle=30.0, header=0.3)) as port:
        with RawPeer.to(port) as peer:
            peer.socket.sendall(struct.pack("<i", 60_000) + b"{")
            trickler = threading.Thread(target=_trickle, args=(peer.socket,))
            trickler.start()
            assert peer.receive()["code"] == "timeout"
            peer.socket.shutdown(socket.SHUT_RDWR)
            trickler.join()
        assert still_serves(port)


def _trickle(sock: socket.socket) -> None:
    pace = threading.Event()
    try:
        for _ in range(10_000):
            sock.sendall(b" ")
            pace.wait(0.01)
    except OSError:
        return


def test_a_silent_client_is_closed(root: Path) -> None:
    with server(root, limits=SHORT) as port, RawPeer.to(port) as peer:
        assert peer.receive()["code"] == "timeout"
        assert peer.at_end()


def test_a_client_silent_during_a_payload_is_closed_and_its_part_kept(root: Path) -> None:
    data = content(BIG)
    with server(root, limits=SHORT) as port, RawPeer.to(port) as peer:
        peer.send(op="put", path=["f"], size=BIG)
        assert peer.receive()["status"] == "ready"
        peer.socket.sendall(_frame_start({"op": "data"}, BIG) + data[: 2 * MIB])
        assert peer.receive()["code"] == "timeout"
        assert peer.at_end()
        assert (root / HIDDEN).read_bytes() == data[: 2 * MIB]


def test_one_client_too_many_gets_a_busy_frame(root: Path) -> None:
    with server(root, max_clients=1) as port:
        with RawPeer.to(port) as first:
            first.send(op="list", path=[])
            assert first.receive()["status"] == "end"
            with RawPeer.to(port) as second:
                answer = second.receive()
                assert (answer["status"], answer["code"]) == ("error", "busy")
                assert second.at_end()
            with client(port) as third, pytest.raises(Refusal) as caught:
                third.stat(())
            assert caught.value.code == "busy"
        wait_until(lambda: still_serves(port), "the place is free again")


def test_the_server_survives_a_reset_during_a_get(root: Path) -> None:
    (root / "f").write_bytes(content(64 * MIB))
    with server(root) as port:
        with RawPeer.to(port) as peer:
            peer.send(op="get", path=["f"])
            assert peer.receive()["status"] == "content"
            peer.exactly(100_000)
            peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert still_serves(port)


def test_a_file_that_shrinks_during_a_get_ends_the_connection(root: Path) -> None:
    size = 64 * MIB
    (root / "f").write_bytes(content(size))
    with server(root) as port, RawPeer.to(port) as peer:
        peer.send(op="get", path=["f"])
        assert peer.receive()["total_size"] == size
        os.truncate(root / "f", MIB)
        received = 0
        while part := peer.socket.recv(MIB):
            received += len(part)
        assert received < size


def test_a_file_that_changes_during_a_put_is_stored_as_hashed_or_not_at_all(
    root: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(content(BIG))

    def overwrite(done: int) -> None:  # sendfile's pages may still be in the socket buffer
        with open(source, "r+b") as file:
            file.seek(done - MIB)
            file.write(b"changed")

    refused: list[str] = []
    with server(root) as port, client(port) as ours, open(source, "rb", buffering=0) as file:
        try:
            outcome = ours.put(file, ("f",), overwrite)
        except Refusal as refusal:
            refused.append(refusal.code)
    if refused:
        assert refused == ["digest-mismatch"]
        assert names_in(root) == []
    else:
        assert digest((root / "f").read_bytes()) == outcome.digest


# ------------------------------------------------------------------------ other requests


def test_a_large_directory_is_listed_completely(root: Path) -> None:
    for number in range(300):
        (root / f"{number:04d} 上海").touch()
    with server(root) as port, client(port) as ours:
        names = [entry.name for entry in ours.entries(())]
    assert names == sorted(names_in(root))


def test_directories_are_created_and_removed(root: Path) -> None:
    with server(root) as port, client(port) as ours:
        assert ours.make_directory(("a", "b"), parents=True) == 2
        assert ours.stat(("a", "b")).kind == "directory"
        for code, call in (
            ("not-empty", lambda: ours.remove(("a",))),
            ("exists", lambda: ours.make_directory(("a",))),
            ("not-found", lambda: ours.make_directory(("c", "d"))),
            ("not-found", lambda: ours.remove(("none",))),
        ):
            with pytest.raises(Refusal) as caught:
                call()
            assert caught.value.code == code
        assert ours.remove(("a",), recursive=True) == 2
    assert names_in(root) == []


def test_names_forbidden_on_windows_are_refused_and_the_session_goes_on(root: Path) -> None:
    (root / "a:b").write_bytes(b"put there by another way")
    with server(root, windows_names=True) as port, RawPeer.to(port) as peer:
        for name in "CON", "nul.txt", "a:b", "report.":
            answer = put(peer, b"content", name)
            assert (answer["status"], answer["code"]) == ("error", "name-refused")
            assert repr(name) in answer["text"]
            assert "Windows" in answer["text"]
        for fields in ({"op": "stat"}, {"op": "mkdir", "parents": True}, {"op": "list"}, {"op": "get"}):
            peer.send(path=["folder", "CON"], **fields)
            assert peer.receive()["code"] == "name-refused"
        assert put(peer, b"content", "console")["status"] == "stored"
    assert names_in(root) == ["a:b", "console"]


def test_by_default_any_linux_name_is_accepted(root: Path) -> None:
    with server(root) as port, RawPeer.to(port) as peer:
        assert put(peer, b"content", "CON")["status"] == "stored"
        assert put(peer, b"content", "a:b")["status"] == "stored"
