"""lab-command with the clients and servers of tutorials, compared byte for byte."""

import hashlib
import json
import struct
import subprocess
import sys

import pytest

from tests.programs.command.command_rig import PEERS, WAIT_TIMEOUT, Peer, run, serving, tutorial_server

NUMBERS = "".join(f"{n}\n" for n in range(1, 20_001)).encode()


def tutorial_client(name, port, text):
    done = subprocess.run(
        [sys.executable, PEERS / f"{name}_client.py", "127.0.0.1", str(port)],
        input=text,
        capture_output=True,
        encoding="utf-8",
        timeout=WAIT_TIMEOUT,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


# ----------------------------------------------------------- tutorial clients, our server


def test_a_raw_client_gets_stderr_before_stdout():
    with serving("--protocol", "raw") as server:
        out = tutorial_client("command_raw", server.port, "echo out; echo err >&2\necho 你好\nquit\n")
    assert out == "err\nout\n\n你好\n\n"


def test_raw_answers_run_into_each_other():
    with serving("--protocol", "raw") as server:
        out = tutorial_client("command_raw", server.port, "seq 20000\necho second\n")
    assert "second" not in out, "the second recv gets what was left of the first answer"


def test_length_client():
    with serving("--protocol", "length") as server:
        text = "echo out; echo err >&2\necho only err >&2\ntrue\nseq 20000\nexit\n"
        out = tutorial_client("command_length", server.port, text)
        again = tutorial_client("command_length", server.port, "echo again\nexit\n")
    assert out == f"out\n\nonly err\n\n\n{NUMBERS.decode()}\n"
    assert again == "again\n\n"


def test_header_client():
    with serving() as server:
        out = tutorial_client(
            "command_header", server.port, "echo out; echo err >&2\ntrue\nls /nonexistent/x\n"
        )
    assert out.startswith("out\nerr\n\n\n")
    assert "/nonexistent/x" in out


def test_a_header_client_decodes_the_output_of_a_gbk_shell():
    with serving("--encoding", "gbk") as server:
        out = tutorial_client("command_header", server.port, "printf '\\304\\343\\272\\303'\necho 你好\n")
    assert out == "你好\n你好\n\n", "bytes pass unchanged, and the command reaches the shell as GBK"


def test_many_tutorial_clients_are_served_concurrently():
    with serving("--protocol", "length") as server:
        peers = [Peer(server.port) for _ in range(50)]
        for number, peer in enumerate(peers):
            peer.send(b"echo %d" % number)
        for number, peer in enumerate(peers):
            text = b"%d\n" % number
            wanted = struct.pack("<i", len(text)) + text
            got = b""
            while len(got) < len(wanted):
                got += peer.socket.recv(len(wanted) - len(got))
            assert got == wanted
            peer.socket.close()


def test_a_raw_answer_is_byte_for_byte_that_of_the_tutorials():
    with serving("--protocol", "raw") as server, Peer(server.port) as peer:
        peer.send(b"printf out; printf err >&2")
        assert peer.socket.recv(1024) == b"errout", "both in one segment"


def test_a_length_answer_is_byte_for_byte_that_of_the_tutorials():
    with serving("--protocol", "length") as server, Peer(server.port) as peer:
        peer.send(b"printf abc")
        assert peer.socket.recv(1024) == b"\x03\0\0\0abc", "length and output in one segment"
        peer.send(b"true")
        assert peer.socket.recv(1024) == b"\0\0\0\0"
        peer.send(b"printf err >&2; false")
        assert peer.socket.recv(1024) == b"\x03\0\0\0err"
        peer.send(b"exit")
        assert peer.socket.recv(1024) == b""


def test_a_header_answer_has_additional_fields():
    with serving() as server, Peer(server.port) as peer:
        peer.send(b"printf abc; printf de >&2; exit 7")
        data = peer.socket.recv(65_536)
        (length,) = struct.unpack("<i", data[:4])
        header, body = json.loads(data[4 : 4 + length]), data[4 + length :]
        assert body == b"abcde"
        assert header["total_size"] == 5
        assert header["md5"] == hashlib.md5(b"abcde").hexdigest()
        assert (header["exit_code"], header["stdout_size"], header["truncated"]) == (7, 3, False)


@pytest.mark.parametrize("command", [b":", b"id", b"pwd", b"echo"])
def test_a_short_command_is_not_taken_for_a_frame(command):
    with serving() as server, Peer(server.port) as peer:
        peer.send(command)
        fields, _ = peer.frame()
        assert fields["exit_code"] == 0
        assert "md5" in fields


# ----------------------------------------------------------- tutorial servers, our client

SCRIPT = "echo out\necho 你好\nexit\n"


@pytest.mark.parametrize("protocol", ["raw", "length", "header"])
def test_tutorial_server(protocol):
    with tutorial_server(f"command_{protocol}") as server:
        options = ("--protocol", protocol, *(("--recv-size", 1024) if protocol == "raw" else ()))
        first = run(server.port, options=options, stdin=SCRIPT)
        assert (first.returncode, first.stdout, first.stderr) == (0, "out\n你好\n".encode(), b"")
        again = run(server.port, "echo", "again", options=options)
        assert again.stdout == b"again\n", "the single-client server takes the next one"


@pytest.mark.parametrize("protocol", ["length", "header"])
def test_tutorial_server_large_and_silent_answers(protocol):
    with tutorial_server(f"command_{protocol}") as server:
        done = run(server.port, options=("--protocol", protocol), stdin="true\nseq 20000\ntrue\n")
    assert (done.returncode, done.stdout) == (0, NUMBERS)


def test_a_tutorial_server_with_gbk_output():
    with tutorial_server("command_header") as server:
        done = run(
            server.port,
            "printf '\\304\\343\\272\\303'",
            options=("--protocol", "header", "--encoding", "gbk"),
        )
    assert done.stdout.decode() == "你好"


def test_our_raw_client_can_read_as_naively_as_a_tutorial():
    options = ("--protocol", "raw", "--recv-size", 1024)
    with serving("--protocol", "raw") as server:
        done = run(server.port, options=options, stdin="seq 20000\necho second\n")
    assert done.returncode == 0
    assert len(done.stdout) <= 2048
    assert b"second" not in done.stdout
    assert NUMBERS.startswith(done.stdout)
