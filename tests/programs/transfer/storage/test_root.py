"""Files below a root: no path leads outside, even if a directory is replaced during access."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.programs.transfer.storage.root import Root
from lab.protocols.names import partial_name
from lab.protocols.transfer import Refusal

SECRET = b"what only the outside has"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "secret").write_bytes(SECRET)
    return directory


@pytest.fixture
def root(tmp_path: Path, outside: Path) -> Iterator[Root]:
    below = tmp_path / "root"
    (below / "inner").mkdir(parents=True)
    (below / "file").write_bytes(b"abc")
    (below / "link").symlink_to(outside / "secret")
    (below / "way-out").symlink_to(outside)
    with Root(str(below)) as opened:
        yield opened


def refused(code: str, call: Callable[..., object], *arguments: object, **options: object) -> None:
    with pytest.raises(Refusal) as caught:
        call(*arguments, **options)
    assert caught.value.code == code
    assert str(caught.value).isprintable()


def read(root: Root, *path: str) -> bytes:
    with root.open(path) as file:
        return file.read()


def test_a_file_is_read(root: Root) -> None:
    assert read(root, "file") == b"abc"


def test_symbolic_links_are_never_followed(root: Root, outside: Path) -> None:
    refused("symlink", root.open, ("link",))
    refused("not-a-directory", root.open, ("way-out", "secret"))
    refused("not-a-directory", root.stat, ("way-out", "secret"))
    refused("not-a-directory", lambda: list(root.entries(("way-out",))))
    refused("not-a-directory", root.make_directory, ("way-out", "new"), parents=False)
    refused("not-a-directory", root.make_directory, ("way-out", "new"), parents=True)
    refused("not-a-directory", root.make_directory, ("way-out",), parents=True)
    refused("not-a-directory", root.remove, ("way-out", "secret"), recursive=True)
    refused("not-a-directory", root.partials(("way-out", "new")).__enter__)
    assert os.listdir(outside) == ["secret"]


def test_a_symbolic_link_is_reported_and_removed_as_itself(root: Root, outside: Path) -> None:
    assert root.stat(("way-out",)).kind == "symlink"
    assert root.remove(("way-out",), recursive=True) == 1
    assert os.listdir(outside) == ["secret"]


def test_removing_a_tree_does_not_follow_its_links(root: Root, tmp_path: Path, outside: Path) -> None:
    (tmp_path / "root" / "inner" / "deep").mkdir()
    (tmp_path / "root" / "inner" / "deep" / "out").symlink_to(outside)
    refused("not-empty", root.remove, ("inner",), recursive=False)
    assert root.remove(("inner",), recursive=True) == 3
    assert os.listdir(outside) == ["secret"]


def test_special_files_are_refused_without_blocking(root: Root, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "root" / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "root" / "s"))
    refused("not-a-file", root.open, ("fifo",))
    refused("failed", root.open, ("s",))
    refused("not-a-file", root.open, ("inner",))
    assert root.stat(("fifo",)).kind == root.stat(("s",)).kind == "special"


def test_missing_and_conflicting_paths_are_refused(root: Root) -> None:
    refused("not-found", root.open, ("none",))
    refused("not-found", root.stat, ("none", "deeper"))
    refused("not-a-directory", root.open, ("file", "deeper"))
    refused("exists", root.make_directory, ("inner",), parents=False)
    refused("exists", root.make_directory, ("file",), parents=False)
    refused("not-a-directory", root.make_directory, ("file",), parents=True)
    refused("not-found", root.make_directory, ("a", "b"), parents=False)
    refused("denied", root.remove, (), recursive=True)


def test_directories_with_parents(root: Root) -> None:
    assert root.make_directory(("a", "b", "c"), parents=True) == 3
    assert root.make_directory(("a", "b", "d"), parents=True) == 1
    assert root.make_directory(("a", "b", "d"), parents=True) == 0


def test_entries_are_sorted_and_mark_unrepresentable_names(root: Root, tmp_path: Path) -> None:
    directory = tmp_path / "root" / "inner"
    for name in ("b", "a", "上海"):
        (directory / name).write_bytes(b"1")
    (directory / partial_name("b", 0)).write_bytes(b"1")
    for raw in (b"caf\xe9", b"new\nline"):
        Path(os.fsdecode(bytes(directory) + b"/" + raw)).write_bytes(b"1")
    entries = list(root.entries(("inner",)))
    assert [(entry.name, entry.kind) for entry in entries] == [
        ("a", "file"),
        ("b", "file"),
        ("caf\\xe9", "unnamable"),
        ("new\\nline", "unnamable"),
        ("上海", "file"),
    ]


def test_a_directory_with_nothing_but_partial_files_counts_as_empty(root: Root, tmp_path: Path) -> None:
    (tmp_path / "root" / "inner" / partial_name("big", 0)).write_bytes(b"x")
    assert root.remove(("inner",), recursive=False) == 2
    assert not (tmp_path / "root" / "inner").exists()


def test_a_swapped_directory_never_leads_outside(root: Root, tmp_path: Path, outside: Path) -> None:
    """A directory is replaced by a link to the outside and back, thousands of times, while in use."""
    below = tmp_path / "root"
    (below / "way-out").rename(below / "bait")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            (below / "inner").rename(below / "kept")
            (below / "bait").rename(below / "inner")
            (below / "inner").rename(below / "bait")
            (below / "kept").rename(below / "inner")

    swapper = threading.Thread(target=swap)
    swapper.start()
    stored = blocked = 0
    try:
        for number in range(20_000):
            try:
                with root.partials(("inner", "new")) as partials, partials.begin(3) as incoming:
                    incoming.hasher.update(b"abc")
                    incoming.write(memoryview(b"abc"))
                    incoming.commit(incoming.hasher.hexdigest(), 0o644, 0.0)
                stored += 1
                assert read(root, "inner", "new") == b"abc"
                with pytest.raises(Refusal):
                    read(root, "inner", "secret")
            except Refusal:
                blocked += 1
            if number > 200 and stored and blocked:
                break
    finally:
        stop.set()
        swapper.join()
    assert stored
    assert blocked
    assert os.listdir(outside) == ["secret"]
    assert (outside / "secret").read_bytes() == SECRET
