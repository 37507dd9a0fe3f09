"""lab-command run: exit codes, streams, scripts, the prompt, and untrusted servers."""

import contextlib
import hashlib
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import pytest

from lab.protocols import framing
from lab.protocols.command_answers import Exit, FrameAnswerEncoder
from tests.programs.command.command_rig import (
    ROOT,
    WAIT_TIMEOUT,
    lab_command,
    run,
    serving,
    sleepers,
    unique_sleep,
    wait_for_sleepers,
)


@pytest.fixture(scope="module")
def port():
    with serving("--max-output", "1000000") as server:
        yield server.port


@contextlib.contextmanager
def fake_server(*answers):
    """Answers the n-th connection's first request with ``answers[n]`` and closes it.

    Yields its port, and a semaphore that counts the connections it closed.
    """
    closed = threading.Semaphore(0)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(WAIT_TIMEOUT)

        def serve():
            for answer in answers:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):  # it may be reset at any time
                    connection.settimeout(WAIT_TIMEOUT)
                    connection.recv(65_536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    closed.release()
                    while connection.recv(65_536):
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], closed
        thread.join(WAIT_TIMEOUT)


# ----------------------------------------------------------------------------------- one command


@pytest.mark.parametrize("protocol", ["frame", "header"])
def test_streams_and_exit_code(port, protocol):
    done = run(port, "echo out; echo err >&2; exit 7", options=("--protocol", protocol))
    assert (done.returncode, done.stdout, done.stderr) == (7, b"out\n", b"err\n")


def test_words_after_the_host_are_the_command_including_its_options(port):
    assert run(port, "echo", "--port", "5", "-n").stdout == b"--port 5 -n\n"
    assert run(port, "--", "echo", "a").stdout == b"a\n"


@pytest.mark.parametrize("protocol", ["frame", "header"])
def test_binary_output_is_unchanged(port, protocol):
    done = run(port, "printf '\\377\\000\\r\\n\\033'", options=("--protocol", protocol))
    assert done.stdout == b"\xff\0\r\n\x1b"


def test_signal(port):
    done = run(port, "kill -SEGV $$")
    assert done.returncode == 128 + signal.SIGSEGV
    assert done.stderr == b"lab-command: ended by signal 11 (SIGSEGV)\n"


def test_timeout(port):
    seconds = unique_sleep()
    done = run(port, f"echo before; sleep {seconds}", options=("--timeout", "0.5"))
    assert (done.returncode, done.stdout) == (4, b"before\n")
    assert done.stderr == b"lab-command: killed after 0.5 s\n"
    assert sleepers(seconds) == []


@pytest.mark.parametrize("protocol", ["frame", "header"])
def test_truncated_output_is_no_success(port, protocol):
    done = run(port, "head -c 1000001 /dev/zero; true", options=("--protocol", protocol))
    assert (done.returncode, len(done.stdout)) == (1, 1_000_000)
    assert done.stderr.count(b"incomplete") == 1


def test_gbk_output_is_printed_as_utf_8(port):
    done = run(port, "printf 你好; printf 再见 >&2", options=("--encoding", "gbk"))
    assert (done.stdout.decode(), done.stderr.decode()) == ("你好", "再见")


def test_bytes_that_are_not_gbk_are_replaced(port):
    done = run(port, "printf 'a\\377b'", options=("--encoding", "gbk"))
    assert done.stdout.decode() == "a\ufffdb"


def test_json(port):
    done = run(port, "printf 'a\\377'; echo 你 >&2; exit 3", options=("--json",))
    assert done.returncode == 3
    events = [json.loads(line) for line in done.stdout.splitlines()]
    texts = {name: "".join(e["text"] for e in events if e["event"] == name) for name in ("stdout", "stderr")}
    assert texts == {"stdout": "a\ufffd", "stderr": "你\n"}
    record = events[-1]
    assert (record["event"], record["exit_code"], record["signal"]) == ("exit", 3, None)
    assert record["whole"]
    assert record["verified"]
    assert (record["stdout_size"], record["stderr_size"]) == (2, 4)


def test_json_of_a_raw_answer_is_unverified():
    with serving("--protocol", "raw") as server:
        done = run(server.port, "echo a", options=("--json", "--protocol", "raw", "--silence", "0.5"))
    record = json.loads(done.stdout.splitlines()[-1])
    assert (record["whole"], record["verified"], record["exit_code"]) == (False, False, None)


def test_silent_raw_answer_is_explained():
    with serving("--protocol", "raw") as server:
        done = run(server.port, "true", options=("--protocol", "raw", "--silence", "0.2"))
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"end of a raw answer" in done.stderr


def test_interrupting_the_client_ends_its_command(port):
    seconds = unique_sleep()
    argv = [sys.executable, "-m", "lab.programs.command", "run", "--port", str(port), "127.0.0.1"]
    with subprocess.Popen(
        [*argv, f"sleep {seconds}"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as client:
        wait_for_sleepers(seconds, 1)
        client.send_signal(signal.SIGINT)
        out, err = client.communicate(timeout=WAIT_TIMEOUT)
        assert (client.returncode, out, err) == (130, b"", b"")
    wait_for_sleepers(seconds, 0)


def test_a_closed_reader_ends_the_client(port):
    argv = [sys.executable, "-m", "lab.programs.command", "run", "--port", str(port), "127.0.0.1", "yes"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as client:
        assert client.stdout.readline() == b"y\n"
        client.stdout.close()
        assert client.wait(WAIT_TIMEOUT) == 1
        assert client.stderr.read() == b""


# --------------------------------------------------------------------------------------- scripts


def test_a_script_runs_each_line_and_returns_the_first_failure(port):
    done = run(port, stdin="echo one\n\nexit 3\nexit 5\necho two\nquit\necho never\n")
    assert (done.returncode, done.stdout) == (3, b"one\ntwo\n")


def test_a_script_ends_at_a_line_that_is_not_text(port):
    done = run(port, stdin=b"echo one\necho \xff\n")
    assert (done.returncode, done.stdout) == (2, b"one\n")
    assert len(done.stderr.splitlines()) == 1


def test_script_of_many_lines(port):
    done = run(port, options=("--json",), stdin="true\n" * 100)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record["exit_code"] for record in records] == [0] * 100


def test_a_length_script_frees_the_server_for_the_next_client():
    with serving("--protocol", "length") as server:
        for _ in range(2):
            done = run(server.port, options=("--protocol", "length"), stdin="echo a\nexit\n")
            assert (done.returncode, done.stdout) == (0, b"a\n")


# ------------------------------------------------------------------ untrusted servers


def frames(*pieces):
    answer = FrameAnswerEncoder()
    return b"".join(answer.output("stdout", piece) for piece in pieces), answer.exit(Exit(exit_code=0))


OUTPUT, EXIT_FRAME = frames(b"half of it\n")
WRONG_MD5 = framing.encode({"md5": hashlib.md5(b"else").hexdigest()}, b"other")


@pytest.mark.parametrize(
    ("protocol", "answer", "words"),
    [
        ("frame", b"", "before the answer was complete"),
        ("frame", OUTPUT, "before its exit frame"),
        ("frame", OUTPUT + EXIT_FRAME[:-1], "inside a header"),
        ("frame", OUTPUT.replace(b"half", b"HALF") + EXIT_FRAME, "wrong digest"),
        ("frame", b"HTTP/1.1 400 Bad Request\r\n\r\n", "header length"),
        ("frame", struct.pack("<i", 70_000), "header length"),
        ("frame", framing.encode({"error": "no\x1b[2J", "text": "an\x1b[2J error"}), "an\\x1b[2J error"),
        ("header", WRONG_MD5, "wrong digest"),
        ("header", WRONG_MD5[:-1], "1 bytes before the end"),
        ("length", struct.pack("<i", -5), "length is -5"),
        ("length", struct.pack("<i", 100) + b"short", "95 bytes too early"),
        ("length", b"\1", "inside its length"),
        ("raw", b"", "closed the connection"),
    ],
)
def test_an_incomplete_answer_is_an_error(protocol, answer, words):
    with fake_server(answer) as (port, _):
        done = run(port, "ls", options=("--protocol", protocol))
    assert done.returncode == 1
    (line,) = done.stderr.decode().splitlines()
    assert words in line
    assert "\x1b" not in line


def test_server_that_closes_after_each_answer():
    whole = OUTPUT + EXIT_FRAME
    with fake_server(whole) as (port, _):
        done = run(port, "ls")
    assert (done.returncode, done.stdout) == (0, b"half of it\n")


def test_a_silent_server_times_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        options = ("--protocol", "raw", "--recv-size", "10", "--timeout", "0.2")
        done = run(listener.getsockname()[1], "ls", options=options)
    assert done.returncode == 4
    assert b"no answer in time" in done.stderr


# ------------------------------------------------------------------------------------- usage errors


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("run", "--port", "1", "127.0.0.1", "ls"), 1),
        (("run", "name.invalid", "ls"), 3),
        (("run",), 2),
        ((), 2),
        (("run", "127.0.0.1", "--port", "5"), 2),
        (("run", "127.0.0.1", " "), 2),
        (("run", "--protocol", "frame", "--recv-size", "5", "h", "ls"), 2),
        (("run", "--encoding", "klingon", "h", "ls"), 2),
        (("run", "--timeout", "nan", "h", "ls"), 2),
        (("run", "--port", "-1", "h", "ls"), 2),
    ],
)
def test_errors_have_one_line_and_their_exit_code(argv, code):
    done = lab_command(*argv)
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == b""


def test_a_command_over_the_limits_is_refused_locally(port):
    done = run(port, "x" * 40_000)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("argv", [("--help",), ("serve", "--help"), ("run", "--help")])
def test_help_has_examples_and_exit_codes(argv):
    done = lab_command(*argv)
    assert done.returncode == 0
    assert b"exit codes" in done.stdout
    if argv[0] == "serve":
        assert b"CAUTION" in done.stdout


# ---------------------------------------------------------------------------------------- prompt


class Terminal:
    """lab-command run at a terminal."""

    def __init__(self, port, *options):
        self._master, slave = pty.openpty()
        argv = [
            sys.executable,
            "-m",
            "lab.programs.command",
            "run",
            "--port",
            str(port),
            *options,
            "127.0.0.1",
        ]
        self.process = subprocess.Popen(
            argv,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # its controlling terminal
            env={**os.environ, "TERM": "dumb"},
        )
        os.close(slave)
        self._seen = ""

    def wait_for(self, pattern, again=""):
        """Reads up to a match of ``pattern``; types ``again`` each second meanwhile."""
        until = time.monotonic() + WAIT_TIMEOUT
        while not (match := re.search(pattern, self._seen)):
            assert time.monotonic() < until, f"never {pattern!r}: {self._seen!r}"
            if select.select([self._master], [], [], 1.0)[0]:
                self._seen += os.read(self._master, 65_536).decode(errors="replace")
            else:
                self.type(again)
        self._seen = self._seen[match.end() :]

    def type(self, text):
        os.write(self._master, text.encode())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def test_prompt(port):
    with Terminal(port) as terminal:
        terminal.wait_for("127.0.0.1> ")
        terminal.type("echo $((6*7)); exit 3\n")
        terminal.wait_for(r"42\r\n\[exit 3\]\r\n127.0.0.1> ")
        terminal.type("\n")
        terminal.wait_for("127.0.0.1> ")
        terminal.type("echo again; true\n")
        terminal.wait_for("again; true\r\nagain\r\n127.0.0.1> ")
        terminal.type("\x04")
        assert terminal.process.wait(WAIT_TIMEOUT) == 0


@pytest.mark.parametrize("protocol", ["frame", "header"])
def test_ctrl_c_ends_the_command_and_keeps_the_prompt(port, protocol):
    seconds = unique_sleep()
    with Terminal(port, "--protocol", protocol) as terminal:
        terminal.wait_for("127.0.0.1> ")
        terminal.type("half a line")
        terminal.wait_for("half a line")
        terminal.type("\x03")
        terminal.wait_for("127.0.0.1> ", again="\x03")  # input() misses a signal just before its wait
        terminal.type(f"sleep {seconds}\n")
        wait_for_sleepers(seconds, 1)
        terminal.type("\x03")
        terminal.wait_for(r"interrupted[^>]*\[exit 130\]\r\n127.0.0.1> ")
        wait_for_sleepers(seconds, 0)
        terminal.type("echo $((6*7))\n")
        terminal.wait_for("42")
        terminal.wait_for("127.0.0.1> ")
        terminal.type("exit\n")
        assert terminal.process.wait(WAIT_TIMEOUT) == 0


def test_the_prompt_reconnects_after_the_server_closed():
    whole = OUTPUT + EXIT_FRAME
    with fake_server(whole, whole) as (port, closed), Terminal(port) as terminal:
        for _ in range(2):
            terminal.wait_for("127.0.0.1> ")
            terminal.type("ls\n")
            terminal.wait_for("half of it")
            assert closed.acquire(timeout=WAIT_TIMEOUT)
        terminal.wait_for("127.0.0.1> ")
        terminal.type("\x04")
        assert terminal.process.wait(WAIT_TIMEOUT) == 0
