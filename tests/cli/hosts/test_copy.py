"""`lab cp` to hosts, from hosts and between them."""

import os
import signal
import time

import pytest

from lab.cli.hosts.endpoints import Endpoint

LINES = "cd /tmp/copied && find . -printf '%P %m %y %l\\n' | sort"


def tree(folder):
    """A folder with modes, an empty folder, a link and a large file."""
    (folder / "bin").mkdir(parents=True)
    (folder / "empty").mkdir(mode=0o700)
    (folder / "bin" / "prog").write_bytes(os.urandom(3_000_000))
    (folder / "bin" / "prog").chmod(0o755)
    (folder / "note 中").write_text("note\n")
    (folder / "note 中").chmod(0o640)
    (folder / "link").symlink_to("bin/prog")
    (folder / "bin").chmod(0o555)
    return folder


def listing(folder):
    """Path, mode and content of everything below a folder."""
    return {
        str(path.relative_to(folder)): (
            path.lstat().st_mode,
            os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes(),
        )
        for path in folder.rglob("*")
    }


@pytest.fixture
def on_client(shared_lab):
    """Runs a command on the client, where /tmp/copied is a new folder."""
    shared_lab.client.run("chmod -Rf u+w /tmp/copied; rm -rf /tmp/copied; mkdir /tmp/copied", check=True)
    return lambda command: shared_lab.client.run(command, check=True).stdout


@pytest.mark.lab
def test_a_folder_comes_back_as_it_was(lab_run, on_client, tmp_path):
    sent = tree(tmp_path / "sent")
    assert lab_run("cp", str(sent), "client:/tmp/copied") == (0, b"", b"")
    assert "bin/prog 755 f" in on_client("cd /tmp/copied/sent && find . -printf '%P %m %y\\n'")
    assert lab_run("cp", "client:/tmp/copied/sent", "server:/tmp/lab-cp-test") == (0, b"", b"")
    assert lab_run("cp", "server:/tmp/lab-cp-test", str(tmp_path / "back")) == (0, b"", b"")
    lab_run("exec", "server", "--", "sh", "-c", "chmod -R u+w /tmp/lab-cp-test; rm -r /tmp/lab-cp-test")
    assert listing(tmp_path / "back") == listing(sent)


@pytest.mark.lab
def test_a_file_replaces_another_and_keeps_its_mode(lab_run, on_client, tmp_path):
    (tmp_path / "prog").write_text("new\n")
    (tmp_path / "prog").chmod(0o700)
    on_client("echo old > /tmp/copied/prog; echo old > /tmp/copied/other")
    assert lab_run("cp", str(tmp_path / "prog"), "client:/tmp/copied")[0] == 0
    assert lab_run("cp", str(tmp_path / "prog"), "client:/tmp/copied/other")[0] == 0
    assert on_client("cd /tmp/copied; cat *; stat -c %a *; ls -A") == "new\nnew\n700\n700\nother\nprog\n"


@pytest.mark.lab
def test_an_interrupted_copy_leaves_nothing(lab_process, on_client, tmp_path):
    fifo = tmp_path / "large"
    with fifo.open("wb") as file:
        file.truncate(1 << 30)
    with lab_process("cp", str(fifo), "client:/tmp/copied/large") as process:
        until = time.monotonic() + 20
        while not (seen := on_client("ls -A /tmp/copied")):
            assert time.monotonic() < until
        process.kill()
    assert seen.endswith(".part\n")
    while on_client("ls -A /tmp/copied"):
        assert time.monotonic() < until, "an incomplete file was left behind"


@pytest.mark.lab
def test_ctrl_c_ends_a_copy_and_leaves_nothing(lab_process, on_client, tmp_path):
    on_client("truncate -s 1G /tmp/copied/large")
    with lab_process("cp", "client:/tmp/copied/large", str(tmp_path)) as process:
        until = time.monotonic() + 20
        while not list(tmp_path.iterdir()):
            assert time.monotonic() < until
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
        assert process.stderr.read() == b"lab: interrupted\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.lab
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["nothing", "client:"], 2, "lab: nothing: No such file or directory\n"),
        (["/etc/passwd", "nobody:"], 2, "lab: no node 'nobody'; there are client, "),
        (["/etc/passwd", "client:/no/folder"], 2, "lab: client:/no/folder: No such file or directory\n"),
        (["/etc/passwd", "client:/tmp/no/"], 2, "lab: client:/tmp/no/: no such folder\n"),
        (["/etc/passwd", "client:/etc/"], 3, "lab: client:/etc/: Permission denied\n"),
        (["client:/etc/shadow", "."], 3, "lab: client:/etc/shadow: Permission denied\n"),
        (["/etc/passwd", "/tmp"], 2, "lab: one of the two paths must be HOST:PATH"),
        (["client:/etc/passwd", "--on", "container", "."], 2, "has no container of yours"),
    ],
)
def test_an_error_is_one_line(lab_run, words, code, said):
    found, out, errors = lab_run("cp", *words)
    assert (found, out) == (code, b"")
    assert said in errors.decode()
    assert len(errors.splitlines()) == 1


@pytest.mark.lab
def test_a_full_disk_is_reported_and_the_incomplete_file_is_removed(lab_run, shared_lab, tmp_path):
    with (tmp_path / "large").open("wb") as file:
        file.truncate(40 << 20)
    with shared_lab.client.disk_full(free=1 << 20) as folder:
        code, _, errors = lab_run("cp", str(tmp_path / "large"), f"client:{folder}/")
        assert (code, errors) == (3, f"lab: client:{folder}/: No space left on device\n".encode())
        assert "large" not in shared_lab.client.run(f"ls -A {folder}").stdout
        assert ".part" not in shared_lab.client.run(f"ls -A {folder}").stdout


@pytest.mark.parametrize(
    ("text", "host", "path"),
    [
        ("client:/tmp/x", "client", "/tmp/x"),
        ("client:", "client", ""),
        ("/tmp/x", "", "/tmp/x"),
        ("./a:b", "", "./a:b"),
        ("client:a:b", "client", "a:b"),
    ],
)
def test_a_colon_before_the_first_slash_separates_the_host(text, host, path):
    assert Endpoint.parse(text) == Endpoint(text, host, path)
