"""Files that are recorded, compared and restored; trees that are removed."""

import os

import pytest

from lab.agent.reset import files

MOUNTS = "1 0 0:1 / / rw - ext4 /dev/root rw"


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "file").write_text("content")
    (folder / "link").symlink_to("inner")
    (folder / "large").write_bytes(bytes(files.KEPT + 1))
    return folder


def compared(home, known):
    return files.compare(known, [str(home)], MOUNTS)


def recorded(home):
    return files.record([str(home)], MOUNTS)


def test_nothing_has_changed(home):
    assert compared(home, recorded(home)) == ([], [], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda home: (home / "inner" / "file").write_text("other"),
        lambda home: (home / "inner" / "file").unlink(),
        lambda home: (home / "inner" / "file").chmod(0o600),
        lambda home: (home / "inner").chmod(0o711),
        lambda home: os.truncate(home / "inner" / "file", 0),
        lambda home: (home / "link").unlink(),
        lambda home: ((home / "link").unlink(), (home / "link").mkdir()),
        lambda home: (
            (home / "inner" / "file").unlink(),
            (home / "inner" / "file").symlink_to("/etc/passwd"),
        ),
        lambda home: ((home / "inner" / "file").unlink(), (home / "inner").rmdir()),
    ],
    ids=range(9),
)
def test_a_change_is_found_and_restored(home, change):
    known = recorded(home)
    change(home)
    new, changed, missing = compared(home, known)
    assert changed or missing
    assert new == []
    assert all(files.restore(path, known[path]) for path in sorted([*changed, *missing]))
    assert compared(home, known) == ([], [], [])
    assert (home / "inner" / "file").read_text() == "content"


def test_a_change_with_the_same_size_and_time_is_found(home):
    known, file = recorded(home), home / "inner" / "file"
    before = file.stat()
    file.write_text("CONTENT")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert compared(home, known) == ([], [str(file)], [])


def test_a_large_file_that_has_changed_cant_be_restored(home):
    known, file = recorded(home), str(home / "large")
    os.utime(file)
    assert compared(home, known) == ([], [file], [])
    assert not files.restore(file, known[file])


def test_only_the_top_of_a_new_tree_is_named(home):
    known = recorded(home)
    (home / "new" / "deep").mkdir(parents=True)
    assert compared(home, known) == ([str(home / "new")], [], [])


def test_a_mounted_folder_is_left_out(home):
    mounts = f"{MOUNTS}\n2 1 0:2 / {home}/inner rw - ext4 /dev/other rw"
    assert str(home / "inner" / "file") not in files.record([str(home)], mounts)


def test_a_tree_is_removed_however_deep_closed_or_strange(tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(600):  # longer than a path may be
        os.mkdir("directory", dir_fd=here)
        below = os.open("directory", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("-rf \n\udcff", os.O_CREAT, dir_fd=here))
    os.close(here)
    (top / "closed").mkdir()
    (top / "closed" / "file").write_text("")
    (top / "closed").chmod(0)
    assert files.remove(str(top))
    assert not top.exists()


def test_removing_follows_no_symbolic_link(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    (tmp_path / "top").mkdir()
    (tmp_path / "top" / "link").symlink_to(kept)
    assert files.remove(str(tmp_path / "top"))
    assert (kept / "file").exists()
