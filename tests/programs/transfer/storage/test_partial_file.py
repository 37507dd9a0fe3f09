"""Partial files: the target is absent, old or new, never incomplete; an interrupted part is found again."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.programs.transfer.storage.partial_file import SLOTS, PartialFile, PartialFiles
from lab.programs.transfer.storage.root import Root
from lab.protocols.names import partial_name
from lab.protocols.transfer import RESUME_ALIGNMENT, Refusal
from tests.programs.transfer.transfer_rig import content, digest, names_in

HIDDEN = partial_name("f", 0)


@pytest.fixture
def partials(tmp_path: Path) -> Iterator[PartialFiles]:
    with Root(str(tmp_path)) as root, root.partials(("f",)) as found:
        yield found


def write(incoming: PartialFile, data: bytes) -> None:
    incoming.hasher.update(data)
    incoming.write(memoryview(data))


def break_off(partials: PartialFiles, data: bytes, error: BaseException) -> None:
    with contextlib.suppress(type(error)), partials.begin(9 * RESUME_ALIGNMENT) as incoming:
        write(incoming, data)
        raise error


def test_the_name_appears_only_with_the_complete_file(partials: PartialFiles, tmp_path: Path) -> None:
    with partials.begin(3) as incoming:
        write(incoming, b"abc")
        assert names_in(tmp_path) == [HIDDEN]
        incoming.commit(digest(b"abc"), 0o754, 1_000_000_000.5)
    assert names_in(tmp_path) == ["f"]
    status = (tmp_path / "f").stat()
    assert (status.st_mode & 0o7777, status.st_mtime) == (0o754, 1_000_000_000.5)
    assert (tmp_path / "f").read_bytes() == b"abc"


@pytest.mark.parametrize(
    "size",
    [
        0,
        1,
        4095,
        4096,
        RESUME_ALIGNMENT - 1,
        RESUME_ALIGNMENT,
        RESUME_ALIGNMENT + 1,
        3 * RESUME_ALIGNMENT + 4097,
    ],
)
def test_files_of_all_sizes_are_stored_completely(partials: PartialFiles, tmp_path: Path, size: int) -> None:
    data = content(size)
    with partials.begin(size) as incoming:
        for start in range(0, size, RESUME_ALIGNMENT):
            write(incoming, data[start : start + RESUME_ALIGNMENT])
        incoming.commit(digest(data), 0o644, 0.0)
    assert (tmp_path / "f").read_bytes() == data


def test_wrong_bytes_leave_the_old_file_and_nothing_else(partials: PartialFiles, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"old")
    with partials.begin(2 * RESUME_ALIGNMENT) as incoming:
        write(incoming, content(2 * RESUME_ALIGNMENT))
        with pytest.raises(Refusal) as caught:
            incoming.commit(digest(b"other"), 0o644, 0.0)
    assert caught.value.code == "digest-mismatch"
    assert names_in(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b"old"


def test_an_interrupted_file_is_kept_to_the_last_aligned_offset(
    partials: PartialFiles, tmp_path: Path
) -> None:
    data = content(2 * RESUME_ALIGNMENT + 5)
    break_off(partials, data, KeyboardInterrupt())
    assert (tmp_path / HIDDEN).read_bytes() == data[: 2 * RESUME_ALIGNMENT]
    resumed = partials.resume()
    assert resumed is not None
    with resumed:
        assert resumed.offset == 2 * RESUME_ALIGNMENT
        assert resumed.hash_prefix() == digest(data[: 2 * RESUME_ALIGNMENT])
        write(resumed, b"rest")
        resumed.commit(digest(data[: 2 * RESUME_ALIGNMENT] + b"rest"), 0o644, 0.0)
    assert (tmp_path / "f").read_bytes() == data[: 2 * RESUME_ALIGNMENT] + b"rest"
    assert names_in(tmp_path) == ["f"]


def test_a_part_shorter_than_the_alignment_is_not_kept(partials: PartialFiles, tmp_path: Path) -> None:
    break_off(partials, b"abc", KeyboardInterrupt())
    assert names_in(tmp_path) == []
    assert partials.resume() is None


def test_a_failed_write_frees_its_space(partials: PartialFiles, tmp_path: Path) -> None:
    break_off(partials, content(RESUME_ALIGNMENT), Refusal("no-space", "as write would say it"))
    assert names_in(tmp_path) == []


def test_a_size_over_the_disk_is_refused_before_the_first_byte(
    partials: PartialFiles, tmp_path: Path
) -> None:
    with pytest.raises(Refusal) as caught:
        partials.begin(2**53)
    assert caught.value.code == "no-space"
    assert names_in(tmp_path) == []


def test_two_writers_of_one_name_never_share_a_file(partials: PartialFiles, tmp_path: Path) -> None:
    with partials.begin(2) as first, partials.begin(2) as second:
        assert partials.resume() is None  # both are being written
        write(first, b"1")
        write(second, b"22")
        write(first, b"1")
        second.commit(digest(b"22"), 0o644, 0.0)
        assert (tmp_path / "f").read_bytes() == b"22"
        first.commit(digest(b"11"), 0o644, 0.0)
    assert (tmp_path / "f").read_bytes() == b"11"
    assert names_in(tmp_path) == ["f"]


def test_the_number_of_writers_of_one_name_is_limited(partials: PartialFiles, tmp_path: Path) -> None:
    writers = [partials.begin(1) for _ in range(SLOTS)]
    with pytest.raises(Refusal) as caught:
        partials.begin(1)
    assert caught.value.code == "conflict"
    for writer in writers:
        writer.keep()
    assert names_in(tmp_path) == []


def test_a_completed_file_removes_old_parts(partials: PartialFiles, tmp_path: Path) -> None:
    left = [partials.begin(2 * RESUME_ALIGNMENT) for _ in range(3)]
    for one in left:
        write(one, content(RESUME_ALIGNMENT))
        one.keep()
    with partials.begin(1) as incoming:
        write(incoming, b"1")
        incoming.commit(digest(b"1"), 0o644, 0.0)
    assert names_in(tmp_path) == ["f"]


@pytest.mark.parametrize("plant", ["symlink", "hardlink", "fifo", "directory"])
def test_a_planted_partial_file_is_not_written_to(partials: PartialFiles, tmp_path: Path, plant: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"v" * 2 * RESUME_ALIGNMENT)
    planted = tmp_path / HIDDEN
    make = {
        "symlink": lambda: planted.symlink_to(victim),
        "hardlink": lambda: planted.hardlink_to(victim),
        "fifo": lambda: os.mkfifo(planted),
        "directory": planted.mkdir,
    }
    make[plant]()
    assert partials.resume() is None
    with partials.begin(1) as incoming:
        write(incoming, b"1")
        incoming.commit(digest(b"1"), 0o644, 0.0)
    assert victim.read_bytes() == b"v" * 2 * RESUME_ALIGNMENT
    assert (tmp_path / "f").read_bytes() == b"1"


@pytest.mark.parametrize("target", ["directory", "fifo"])
def test_only_regular_files_are_replaced(partials: PartialFiles, tmp_path: Path, target: str) -> None:
    (tmp_path / "f").mkdir() if target == "directory" else os.mkfifo(tmp_path / "f")
    with pytest.raises(Refusal) as caught:
        partials.begin(1)
    assert caught.value.code == "exists"
    assert names_in(tmp_path) == ["f"]


def test_a_symbolic_link_is_replaced_and_not_followed(partials: PartialFiles, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"v")
    (tmp_path / "f").symlink_to("victim")
    with partials.begin(1) as incoming:
        write(incoming, b"1")
        incoming.commit(digest(b"1"), 0o644, 0.0)
    assert (tmp_path / "victim").read_bytes() == b"v"
    assert not (tmp_path / "f").is_symlink()


def test_the_lock_of_a_renamed_file_is_ignored(tmp_path: Path) -> None:
    """Between open and lock, another writer may have renamed the file to its final name."""
    with Root(str(tmp_path)) as root, root.partials(("f",)) as partials:
        writer = partials.begin(2 * RESUME_ALIGNMENT)
        write(writer, content(2 * RESUME_ALIGNMENT))
        late = os.open(tmp_path / HIDDEN, os.O_RDWR)
        writer.commit(digest(content(2 * RESUME_ALIGNMENT)), 0o644, 0.0)
        fcntl.flock(late, fcntl.LOCK_EX | fcntl.LOCK_NB)
        assert partials._is_ours(late, HIDDEN) is None
        (tmp_path / HIDDEN).write_bytes(b"x" * RESUME_ALIGNMENT)
        assert partials._is_ours(late, HIDDEN) is None
        os.close(late)
    assert hashlib.sha256((tmp_path / "f").read_bytes()).hexdigest() == digest(content(2 * RESUME_ALIGNMENT))
