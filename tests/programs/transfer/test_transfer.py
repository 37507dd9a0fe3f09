"""lab-transfer on the command line: arguments, output, exit codes, signals."""

from __future__ import annotations

import errno
import json
import os
import pty
import re
import select
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.programs.transfer.cli import lost
from lab.protocols.names import partial_name
from tests.programs.transfer.transfer_rig import (
    DEADLINE,
    MIB,
    RawPeer,
    command,
    content,
    digest,
    environment,
    names_in,
    program_server,
    raw_server,
    run,
    server,
    wait_until,
)

HIDDEN = partial_name("f", 0)


@pytest.fixture
def there(tmp_path: Path) -> Path:
    directory = tmp_path / "there"
    directory.mkdir()
    return directory


@pytest.fixture
def here(tmp_path: Path) -> Path:
    directory = tmp_path / "here"
    directory.mkdir()
    return directory


@pytest.fixture
def port(there: Path) -> Iterator[str]:
    with server(there) as number:
        yield str(number)


def ok(*arguments: str | Path, **options: Any) -> str:
    done = run(*arguments, **options)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def fails(code: int, pattern: str, *arguments: str | Path, **options: Any) -> None:
    """Asserts one line on stderr with the reason, and the exit code."""
    done = run(*arguments, **options)
    assert re.search(pattern, done.stderr)
    assert (done.returncode, done.stderr.count("\n")) == (code, 1)
    assert done.stderr.startswith("lab-transfer")


def tree(directory: Path) -> dict[str, bytes | None]:
    """The contents of all files below a directory; None for directories."""
    return {
        str(path.relative_to(directory)): None if path.is_dir() else path.read_bytes()
        for path in directory.rglob("*")
    }


def chinese_tree(directory: Path) -> None:
    (directory / "项目" / "空目录").mkdir(parents=True)
    (directory / "项目" / "报告.txt").write_bytes("你好".encode())
    (directory / "项目" / "empty").touch()
    (directory / "项目" / "one").write_bytes(b"1")
    (directory / "项目" / "-rf *").write_bytes(content(2 * MIB + 1))
    (directory / "项目" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (directory / "项目" / "run.sh").chmod(0o755)


# ---------------------------------------------------------------------------- put and get


@pytest.mark.parametrize("size", [0, 1, 64 * MIB])
def test_a_round_trip_of_a_file(port: str, there: Path, here: Path, size: int) -> None:
    (here / "f").write_bytes(content(size))
    (here / "f").chmod(0o751)
    os.utime(here / "f", (1e9, 1e9))
    stored = json.loads(ok("put", "--port", port, "--json", "127.0.0.1", here / "f").splitlines()[-1])
    assert (stored["event"], stored["size"], stored["resumed_from"]) == ("stored", size, 0)
    assert stored["digest"] == digest((there / "f").read_bytes()) == digest(content(size))
    shown = ok("get", "--port", port, "127.0.0.1", "f", "--to", here / "back")
    assert stored["digest"] in shown
    assert (here / "back").read_bytes() == content(size)
    assert (here / "back").stat().st_mode & 0o777 == 0o751
    assert (here / "back").stat().st_mtime == 1e9


def test_a_round_trip_of_a_tree_with_chinese_names(port: str, there: Path, here: Path) -> None:
    chinese_tree(here)
    ok("put", "--port", port, "127.0.0.1", "-r", here / "项目")
    assert tree(there) == tree(here)
    back = here.parent / "back"
    back.mkdir()
    ok("get", "--port", port, "127.0.0.1", "-r", "项目", "--to", back)
    assert tree(back) == tree(here)
    assert (back / "项目" / "run.sh").stat().st_mode & 0o111


def test_destinations_follow_the_rules_of_cp(port: str, there: Path, here: Path) -> None:
    """As with cp: into an existing directory, or else under the given name."""
    for name in ("a", "b"):
        (here / name).write_text(name)
    ok("mkdir", "--port", port, "127.0.0.1", "d")
    ok("put", "--port", port, "127.0.0.1", here / "a", "--to", "renamed")
    ok("put", "--port", port, "127.0.0.1", here / "a", here / "b", "--to", "d")
    ok("put", "--port", port, "127.0.0.1", here / "a", "--to", "d/c")
    ok("put", "--port", port, "127.0.0.1", "-r", here, "--to", "new")
    ok("put", "--port", port, "127.0.0.1", "-r", here, "--to", "d")
    assert set(tree(there)) == {
        "renamed", "d", "d/a", "d/b", "d/c", "new", "new/a", "new/b", "d/here", "d/here/a", "d/here/b",
    }  # fmt: skip
    ok("get", "--port", port, "127.0.0.1", "d/c", cwd=here)
    ok("get", "--port", port, "127.0.0.1", "d/a", "d/b", "--to", f"{here}/")
    ok("get", "--port", port, "127.0.0.1", "-r", "d/here", "--to", here / "copy")
    ok("get", "--port", port, "127.0.0.1", "-r", ".", "--to", here / "all")
    assert names_in(here) == ["a", "all", "b", "c", "copy"]
    assert tree(here / "all") == tree(there)


def environment_without_utf8() -> dict[str, str]:
    return {**environment(), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_unsendable_files_are_named_and_change_the_exit_code(port: str, there: Path, here: Path) -> None:
    (here / "good").write_text("good")
    (here / "link").symlink_to("/etc/passwd")
    os.mkfifo(here / "fifo")
    Path(os.fsdecode(bytes(here) + b"/caf\xe9")).touch()
    (here / "new\nline").touch()
    done = run("put", "--port", port, "127.0.0.1", "-r", here)
    assert done.returncode == 1
    assert sorted(line.split("/")[-1].split(":")[0] for line in done.stderr.splitlines()) == [
        "caf\\xe9", "fifo", "link", "new\\nline",
    ]  # fmt: skip
    assert tree(there) == {"here": None, "here/good": b"good"}

    (there / "here" / "way-out").symlink_to("/etc")
    Path(os.fsdecode(bytes(there) + b"/here/caf\xe9")).touch()
    done = run("get", "--port", port, "127.0.0.1", "-r", "here", "--to", here / "back")
    assert done.returncode == 1
    assert [line.split(": ")[1] for line in done.stderr.splitlines()] == ["here/caf\\xe9", "here/way-out"]
    assert tree(here / "back") == {"good": b"good"}


def test_a_get_replaces_a_link_and_does_not_follow_it(port: str, there: Path, here: Path) -> None:
    (there / "d").mkdir()
    (there / "d" / "f").write_text("new")
    (here / "victim").write_text("v")
    (here / "d").mkdir()
    (here / "d" / "f").symlink_to(here / "victim")
    ok("get", "--port", port, "127.0.0.1", "-r", "d", "--to", here)
    assert (here / "victim").read_text() == "v"
    assert (here / "d" / "f").read_text() == "new"


def test_output_survives_a_locale_without_chinese(port: str, there: Path) -> None:
    (there / "上海").write_text("x")
    done = run("list", "--port", port, "127.0.0.1", env=environment_without_utf8())
    assert (done.returncode, done.stderr) == (0, "")
    assert "\\u4e0a" in done.stdout


# ------------------------------------------------------------------- other commands


def test_list_stat_mkdir_and_remove(port: str, there: Path) -> None:
    ok("mkdir", "--port", port, "127.0.0.1", "-p", "a/b")
    (there / "a" / "f").write_bytes(b"abc")
    (there / "a" / "out").symlink_to("/")
    lines = ok("list", "--port", port, "--json", "127.0.0.1", "-r").splitlines()
    entries = {entry["path"]: entry["kind"] for entry in map(json.loads, lines)}
    assert entries == {"a": "directory", "a/b": "directory", "a/f": "file", "a/out": "symlink"}
    assert "a/" in ok("list", "--port", port, "127.0.0.1")
    assert [line.split()[-1] for line in ok("list", "--port", port, "127.0.0.1", "a").splitlines()] == [
        "b/", "f", "out",
    ]  # fmt: skip
    first = json.loads(ok("list", "--port", port, "--json", "127.0.0.1", "a").splitlines()[0])
    assert first["path"] == "a/b"
    assert digest(b"abc") in ok("stat", "--port", port, "127.0.0.1", "a/f", "--digest")
    assert json.loads(ok("stat", "--port", port, "--json", "127.0.0.1", "a/f"))["size"] == 3
    fails(1, "a: the directory isn't empty", "remove", "--port", port, "127.0.0.1", "a")
    ok("remove", "--port", port, "127.0.0.1", "a/f", "a/b")
    ok("remove", "--port", port, "127.0.0.1", "-r", "a")
    assert names_in(there) == []


def test_each_error_has_one_line_and_an_exit_code(port: str, there: Path, here: Path) -> None:
    (here / "d").mkdir()
    (here / "f").touch()
    os.mkfifo(here / "fifo")
    (there / "d").mkdir()
    fails(1, "none: no such file", "get", "--port", port, "127.0.0.1", "none", "--to", here)
    fails(1, "none/f: no such file", "put", "--port", port, "127.0.0.1", here / "f", "--to", "none/f")
    fails(2, "-r", "get", "--port", port, "127.0.0.1", "d", "--to", here)
    fails(2, "-r", "put", "--port", port, "127.0.0.1", here / "d")
    fails(2, "absolute", "get", "--port", port, "127.0.0.1", "/etc/passwd", "--to", here)
    fails(2, r"'\.\.'", "put", "--port", port, "127.0.0.1", here / "f", "--to", "../f")
    fails(2, "is not a port", "put", "--port", "99999", "127.0.0.1", here / "f")
    fails(2, "required", "put")
    fails(3, "none: No such file", "put", "--port", port, "127.0.0.1", here / "none")
    fails(3, "not a regular file", "put", "--port", port, "127.0.0.1", here / "fifo")
    fails(3, "none", "get", "--port", port, "127.0.0.1", "d", "--to", f"{here}/none/")
    fails(3, "none", "serve", "--port", "0", "--root", here / "none")
    fails(3, "no-such-host.invalid", "list", "no-such-host.invalid")
    assert names_in(here) == ["d", "f", "fifo"]
    assert names_in(there) == ["d"]


def test_help_has_examples_and_exit_codes() -> None:
    shown = ok("--help")
    assert "20001" in shown
    assert "exit codes" in shown
    for action in ("serve", "put", "get", "list", "stat", "remove", "mkdir"):
        assert action in shown
        assert "20001" in ok(action, "--help")
    assert "skipped" in ok("put", "--help")


def test_a_refused_connection_and_a_silent_server() -> None:
    def stay_silent(peer: RawPeer) -> None:
        peer.receive()
        assert peer.at_end()

    with raw_server(stay_silent) as number:
        fails(4, "no progress for 0.3 s", "stat", "--port", str(number), "--timeout", "0.3", "127.0.0.1", "f")
    fails(1, "[Rr]efused", "stat", "--port", str(number), "127.0.0.1", "f")


def test_control_characters_in_an_answer_are_escaped() -> None:
    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="error", code="denied", text="\x1b[2J\x07 two\nlines")

    with raw_server(talk) as number:
        fails(1, r"\\x1b\[2J\\x07 two\\nlines", "stat", "--port", str(number), "127.0.0.1", "f")


def test_a_closed_output_pipe_is_no_lost_connection(port: str, there: Path) -> None:
    for number in range(2000):
        (there / f"{number:0100d}").touch()
    arguments = command("list", "--port", port, "127.0.0.1")
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        _, said = process.communicate(timeout=DEADLINE)
    assert said == ""


def test_a_server_that_exits_during_a_get(here: Path) -> None:
    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="status", kind="file", size=9 * MIB, mode=0o644, mtime=1.0)
        peer.receive()
        fields = {"status": "content", "size": 9 * MIB, "offset": 0, "mode": 0o644, "mtime": 1.0}
        peer.send(content(4 * MIB), **fields, total_size=9 * MIB)

    with raw_server(talk) as number:
        fails(1, "connection lost.*to resume", "get", "--port", str(number), "127.0.0.1", "f", "--to", here)
    assert names_in(here) == [HIDDEN]


# ------------------------------------------------------------------- signals and failures


def begin_put(peer: RawPeer, data: bytes, sent: int) -> None:
    peer.send(op="put", path=["f"], size=len(data))
    assert peer.receive()["status"] == "ready"
    peer.send(data[:sent], op="data", total_size=len(data))


def test_a_killed_server_leaves_a_part_for_its_successor(there: Path, here: Path) -> None:
    data = content(8 * MIB + 5)
    (here / "f").write_bytes(data)
    (there / "f").write_bytes(b"old")
    with program_server(there) as (process, number), RawPeer.to(int(number)) as peer:
        begin_put(peer, data, 5 * MIB)
        wait_until(lambda: (there / HIDDEN).stat().st_size >= 4 * MIB, "the server writes")
        process.kill()
        process.wait()
    assert (there / "f").read_bytes() == b"old"
    assert names_in(there) == sorted([HIDDEN, "f"])
    with program_server(there) as (_, number):
        done = json.loads(ok("put", "--port", number, "--json", "127.0.0.1", here / "f").splitlines()[-1])
    assert done["resumed_from"] >= 4 * MIB
    assert (there / "f").read_bytes() == data
    assert names_in(there) == ["f"]


def test_a_stopping_server_finishes_its_requests(there: Path) -> None:
    data = content(3 * MIB)
    with program_server(there) as (process, number), RawPeer.to(int(number)) as peer:
        begin_put(peer, data, MIB)
        process.terminate()
        peer.socket.sendall(data[MIB:])
        peer.send(op="digest", digest=digest(data))
        assert peer.receive()["status"] == "stored"
        assert peer.at_end()
        assert process.wait(DEADLINE) == 0
    assert names_in(there) == ["f"]


def test_ctrl_c_during_a_get_keeps_a_part_and_explains_resuming(there: Path, here: Path) -> None:
    data = content(6 * MIB)
    interrupted = threading.Event()

    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="status", kind="file", size=len(data), mode=0o644, mtime=1.0)
        peer.receive()
        fields = {"status": "content", "size": len(data), "offset": 0, "mode": 0o644, "mtime": 1.0}
        peer.send(data[: 3 * MIB], **fields, total_size=len(data))
        assert interrupted.wait(DEADLINE)

    with raw_server(talk) as number:
        arguments = command("get", "--port", str(number), "127.0.0.1", "f", "--to", here)
        with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True, env=environment()) as process:
            hidden = here / HIDDEN
            wait_until(lambda: hidden.exists() and hidden.stat().st_size >= 3 * MIB, "the client writes")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=DEADLINE)
            interrupted.set()
    assert process.returncode == 130
    assert said == "lab-transfer: interrupted; run the same command again to resume\n"
    assert hidden.read_bytes() == data[: 3 * MIB]
    (there / "f").write_bytes(data)
    with server(there) as again:
        assert "resumed at 3.0 MiB" in ok("get", "--port", str(again), "127.0.0.1", "f", "--to", here)
    assert names_in(here) == ["f"]


def test_a_terminal_gets_a_progress_bar(here: Path) -> None:
    data = content(4 * MIB)
    seen = threading.Event()

    def talk(peer: RawPeer) -> None:
        peer.receive()
        peer.send(status="status", kind="file", size=len(data), mode=0o644, mtime=1.0)
        peer.receive()
        fields = {"status": "content", "size": len(data), "offset": 0, "mode": 0o644, "mtime": 1.0}
        peer.send(**fields, total_size=len(data))
        for start in range(0, len(data), 8192):
            peer.socket.sendall(data[start : start + 8192])
            seen.wait(0 if seen.is_set() else 0.01)
        peer.send(status="digest", digest=digest(data))

    with raw_server(talk) as number:
        leader, follower = pty.openpty()
        arguments = command("get", "--port", str(number), "127.0.0.1", "f", "--to", here)
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, stderr=follower, env=environment()
        ) as process:
            os.close(follower)
            shown = read_terminal(leader, seen)
            assert process.wait(DEADLINE) == 0
        os.close(leader)
    assert re.search(r"f [█░]{24} +\d+% .*MiB .*bit/s .*s left", shown)
    assert shown.endswith("\r\x1b[K")


def read_terminal(leader: int, seen: threading.Event) -> str:
    raw = b""
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if select.select([leader], [], [], 0.1)[0]:
            try:
                raw += os.read(leader, 65_536)
            except OSError:  # EIO: the program has exited
                break
        if b"%" in raw:
            seen.set()
    return raw.decode()


@pytest.mark.parametrize("direction", ["put", "get"])
def test_memory_does_not_grow_with_the_file(there: Path, here: Path, direction: str) -> None:
    peaks = []
    for size in (8 * MIB, 400 * MIB):
        source = (here if direction == "put" else there) / "f"
        source.touch()
        os.truncate(source, size)
        with program_server(there) as (process, number):
            names = [str(here / "f")] if direction == "put" else ["f", "--to", str(here)]
            arguments = command(direction, "--port", number, "127.0.0.1", *names)
            with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, env=environment()) as client:
                _, status, usage = os.wait4(client.pid, 0)
                client.returncode = os.waitstatus_to_exitcode(status)
            assert client.returncode == 0
            status_text = Path(f"/proc/{process.pid}/status").read_text()
            found = re.search(r"VmHWM:\s+(\d+) kB", status_text)
            assert found
            peaks.append((usage.ru_maxrss, int(found[1])))
    for small, large in zip(*peaks, strict=True):
        assert large - small < 6 * 1024  # KiB: a few blocks


# ------------------------------------------------------------------------------ full disks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A server with a file system of 8 MiB as its root, in its own mount namespace."""
    root = tmp_path / "disk"
    root.mkdir()
    serve = " ".join(command("serve", "--host", "127.0.0.1", "--port", "0", "--root", str(root), "--json"))
    script = f"mount -t tmpfs -o size=8m none {root} && exec {serve}"
    arguments = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        announcement = process.stdout.readline()
        try:
            assert announcement, process.stderr and process.stderr.read()
            yield Path(f"/proc/{process.pid}/root{root}"), str(json.loads(announcement)["port"])
        finally:
            process.terminate()
            process.communicate(timeout=DEADLINE)


def test_a_disk_that_is_too_small_gives_exit_code_3_and_leaves_nothing(
    small_disk: tuple[Path, str], here: Path
) -> None:
    root, number = small_disk
    (here / "f").write_bytes(content(9 * MIB))
    fails(3, "no space left", "put", "--port", number, "127.0.0.1", here / "f")
    assert names_in(root) == []


def test_a_disk_that_fills_during_a_put_is_reported_and_the_space_freed(small_disk: tuple[Path, str]) -> None:
    root, number = small_disk
    data = content(5 * MIB)
    with RawPeer.to(int(number)) as first, RawPeer.to(int(number)) as second:
        for peer in (first, second):  # each of them alone would fit
            peer.send(op="put", path=["f"], size=len(data))
            assert peer.receive()["status"] == "ready"
        first.send(data, op="data")
        first.send(op="digest", digest=digest(data))
        assert first.receive()["status"] == "stored"
        second.send(data, op="data")
        assert second.receive()["code"] == "no-space"
        assert second.at_end()
    wait_until(lambda: names_in(root) == ["f"], "the partial file goes")
    assert (root / "f").read_bytes() == data


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TimeoutError("timed out"), "no progress for 60 s"),
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), "connection lost: Connection timed out"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "connection lost: No route to host"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "connection lost: reset"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), None),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "f"), None),
    ],
    ids=str,
)
def test_the_message_about_a_lost_connection(error: OSError, said: str | None) -> None:
    assert lost(error, 60.0) == said
