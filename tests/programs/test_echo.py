"""lab-echo: client and server, with tutorials' programs and with hostile peers."""

import contextlib
import json
import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from tests.programs.command.command_rig import ROOT, WAIT_TIMEOUT, wait_until
from tests.programs.echo_rig import (
    Server,
    events,
    lines,
    one_line_error,
    send,
    serving,
    tutorial_client,
    tutorial_server,
)
from tests.sockets.io_models import IO_MODELS, MANY_AT_ONCE, Client

MODES = ("hello", "reverse", "upper")
every_io_model = pytest.mark.parametrize("io_model", IO_MODELS)
every_mode = pytest.mark.parametrize("mode", MODES)
ANSWERS = {"hello": ["我是服务端"], "reverse": ["海上", "cba"], "upper": ["上海", "ABC"]}


def echo(mode, server, *argv, stdin=""):
    return send("echo", "send", "--mode", mode, "--port", server.port, "127.0.0.1", *argv, stdin=stdin)


# ----------------------------------------------------------- our client and server


@every_io_model
@every_mode
def test_every_io_model_serves_every_mode(io_model, mode):
    with serving("echo", "--mode", mode, "--io", io_model) as server:
        for _ in range(2):  # two clients, one after the other
            assert lines(echo(mode, server, "上海", "abc")) == ANSWERS[mode]
            assert server.event("connected")["peer"].startswith("127.0.0.1:")
            if mode == "hello":
                assert server.event("text")["text"] == "上海 abc"
            assert server.event("closed")["answered"] == len(ANSWERS[mode])


def test_hello_has_the_tutorials_texts():
    with serving("echo") as server:
        assert lines(echo("hello", server)) == ["我是服务端"]
        assert server.event("text")["text"] == "我是客户端"


def test_both_texts_of_hello_are_configurable():
    with serving("echo", "--answer", "Hello Lyon") as server:
        assert lines(echo("hello", server, "I'm", "Lyon")) == ["Hello Lyon"]
        assert server.event("text")["text"] == "I'm Lyon"


@pytest.mark.parametrize("mode", ["reverse", "upper"])
def test_lines_come_from_standard_input(mode):
    with serving("echo", "--mode", mode) as server:
        done = echo(mode, server, stdin="上海\n\nabc\nquit\nnever sent\n")
        assert done.returncode == 0
        assert done.stdout.decode().splitlines() == ANSWERS[mode]
        assert done.stderr.decode() == "lab-echo: an empty line isn't sent: TCP would send nothing\n"
        assert server.event("closed")["answered"] == 2


def test_answers_are_available_as_json():
    with serving("echo", "--mode", "upper") as server:
        done = echo("upper", server, "--json", "abc", "上海")
        assert events(done) == [
            {"event": "answer", "sent": "abc", "text": "ABC"},
            {"event": "answer", "sent": "上海", "text": "上海"},
        ]
        assert done.stdout.isascii()


def test_a_long_line_comes_back_whole():
    text = "上海 abc " * 2000  # more than one segment
    with serving("echo", "--mode", "upper") as server:
        assert lines(echo("upper", server, stdin=text + "\n")) == [text.upper()]


def test_every_address_is_served_and_shown_as_plain_text():
    with serving("echo") as server:
        for host in ("127.0.0.1", "::1", "localhost"):
            assert lines(send("echo", "send", "--port", server.port, host)) == ["我是服务端"]
        assert server.event("connected")["peer"].startswith("127.0.0.1:")
        assert server.event("connected")["peer"].startswith("[::1]:")


def test_a_server_on_one_address_serves_only_that():
    with serving("echo", "--host", "127.0.0.1") as server:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", server.port), WAIT_TIMEOUT)
        assert lines(echo("hello", server)) == ["我是服务端"]


def test_the_text_output_shows_the_listening_address():
    command = [sys.executable, "-m", "lab.programs.echo", "serve", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        line = server.stdout.readline()
        assert line.startswith("hello (blocking), listening on 127.0.0.1:")
        server.terminate()
        assert server.wait(WAIT_TIMEOUT) == 0


# ----------------------------------------------------------- tutorials' programs


@every_io_model
def test_a_tutorials_hello_client(io_model):
    with serving("echo", "--io", io_model) as server:
        assert tutorial_client("hello", server.port) == ["我是服务端"]
        assert server.event("text")["text"] == "我是客户端"


@every_io_model
def test_a_tutorials_reverse_client(io_model):
    with serving("echo", "--mode", "reverse", "--io", io_model) as server:
        for _ in range(2):
            assert tutorial_client("reverse", server.port, stdin="上海\nabc\nquit\n") == ["海上", "cba"]


@every_io_model
def test_a_tutorials_upper_client(io_model):
    with serving("echo", "--mode", "upper", "--io", io_model) as server:
        assert tutorial_client("upper", server.port, stdin="上海 abc\nx\n") == ["上海 ABC", "X"]


@every_io_model
def test_a_tutorial_client_of_a_server_without_answers(io_model):
    with serving("echo", "--answer", "", "--io", io_model) as server:
        assert tutorial_client("visit", server.port) == ["b''"]
        assert server.event("connected")["peer"].startswith("127.0.0.1:")


def test_a_tutorials_hello_server():
    with tutorial_server("hello") as server:
        assert lines(echo("hello", server)) == ["我是服务端"]
        assert server.line() == "我是客户端"


def test_a_tutorials_reverse_server():
    with tutorial_server("reverse") as server:
        for _ in range(2):
            assert lines(echo("reverse", server, "上海", "abc")) == ["海上", "cba"]
            assert server.line() == "quit"


def test_a_tutorials_upper_server():
    with tutorial_server("upper") as server:
        assert lines(echo("upper", server, "上海 abc", "x")) == ["上海 ABC", "X"]


# ----------------------------------------------------------- many clients


@pytest.mark.parametrize("io_model", MANY_AT_ONCE)
@pytest.mark.parametrize("mode", ["reverse", "upper"])
def test_fifty_clients_each_get_their_own_answers(io_model, mode):
    with serving("echo", "--mode", mode, "--io", io_model) as server:
        done = echo(mode, server, "--connections", 50, "--messages", 3, "--hold", "--json")
        (stats,) = events(done)
        assert done.returncode == 0
        assert stats.pop("seconds") > 0
        assert stats == {
            "event": "load",
            "connections": 50,
            "opened": 50,
            "served_at_once": 50,
            "answered": 150,
            "failures": 0,
        }


def test_the_iterative_server_serves_many_clients_one_at_a_time():
    with serving("echo", "--mode", "upper", "--io", "blocking") as server:
        (stats,) = events(echo("upper", server, "--connections", 50, "--messages", 3, "--json"))
        assert (stats["opened"], stats["answered"], stats["served_at_once"]) == (50, 150, 1)
        for _ in range(50):
            peer = server.event("connected")["peer"]
            closed = json.loads(server.line())  # the next event, before any other connection
            assert (closed["event"], closed["peer"], closed["answered"]) == ("closed", peer, 3)


def test_the_iterative_server_cannot_hold_many_connections():
    with serving("echo", "--mode", "upper", "--io", "blocking", "--idle", 2) as server:
        done = echo("upper", server, "--connections", 3, "--hold", "--timeout", 0.5, "--json")
        assert "2 failed, the first: timed out" in one_line_error(done, 4)
        assert events(done)[0]["answered"] == 1


def test_many_clients_say_hello():
    with serving("echo", "--io", "async") as server:
        (line,) = lines(echo("hello", server, "--connections", 20))
        assert line.startswith("20 of 20 connections open at once")


def test_a_thousand_connections_are_held_open_in_bounded_memory():
    with serving("echo", "--mode", "upper", "--io", "async", "--max-clients", 1000) as server:
        assert lines(echo("upper", server, "abc")) == ["ABC"]
        alone = server.peak_memory()
        done = echo("upper", server, "--connections", 1000, "--messages", 2, "--hold", "--json")
        (stats,) = events(done)
        assert done.returncode == 0, done.stderr
        assert (stats["opened"], stats["served_at_once"], stats["answered"]) == (1000, 1000, 2000)
        assert server.peak_memory() - alone < 64 << 20  # less than one receive buffer per connection


def test_refused_connections_are_reported_with_the_reason():
    with serving("echo", "--mode", "upper", "--max-clients", 10) as server:
        done = echo("upper", server, "--connections", 20, "--hold", "--json")
        assert "10 failed, the first: wrong answer: 'busy\\n'" in one_line_error(done, 1)
        assert events(done)[0]["answered"] == 10


# ----------------------------------------------------------- errors


@every_io_model
def test_a_bad_chunk_ends_a_session_and_not_the_server(io_model):
    with serving("echo", "--mode", "reverse", "--io", io_model) as server:
        with Client(server.port) as client:
            client.send(b"\xff")
            assert client.rest() == b""
        assert lines(echo("reverse", server, "abc")) == ["cba"]
    assert sum("isn't valid UTF-8 at byte 0" in line for line in server.stderr) == 1


@every_io_model
@every_mode
def test_a_hostile_client_affects_no_other(io_model, mode):
    with serving("echo", "--mode", mode, "--io", io_model, "--idle", 30) as server:
        for data in (b"", b"\0" * 1000, b"\xff\xfe", b"GET / HTTP/1.1\r\n\r\n", b"x" * 200_000):
            for end in ("close", "half", "reset"):
                with Client(server.port) as client, contextlib.suppress(ConnectionError):
                    client.send(data)
                    if end == "half":
                        client.socket.shutdown(socket.SHUT_WR)
                        client.rest()
                    elif end == "reset":
                        client.reset()
        assert lines(echo(mode, server, "abc"))


@every_io_model
@every_mode
def test_a_silent_client_is_closed(io_model, mode):
    with serving("echo", "--mode", mode, "--io", io_model, "--idle", 0.3) as server:
        with Client(server.port) as client:
            assert client.rest() == b""
        wait_until(lambda: server.stderr, "it is logged")
    assert ["closed, silent for too long" in line for line in server.stderr] == [True]


def test_control_characters_from_a_client_are_escaped():
    command = [sys.executable, "-m", "lab.programs.echo", "serve", "--host", "127.0.0.1", "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as server:
        port = int(server.stdout.readline().rsplit(b":", 1)[1])
        with Client(port) as client:
            client.send("\x1b[2J\r\x9b31m\u202e".encode())
            assert client.rest()
        server.stdout.readline()
        assert server.stdout.readline().endswith(rb"says: \x1b[2J\r\x9b31m\u202e" + b"\n")
        server.terminate()
        server.stdout.read()
        assert server.wait(WAIT_TIMEOUT) == 0


@every_io_model
def test_a_signal_stops_the_server_between_requests(io_model):
    with serving("echo", "--mode", "upper", "--io", io_model) as server, Client(server.port) as client:
        assert client.ask(b"abc") == b"ABC"
        server.process.send_signal(signal.SIGTERM)
        assert client.rest() == b""
        client.socket.close()
        assert server.wait() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@every_io_model
def test_a_signal_stops_an_idle_server(io_model, number):
    with serving("echo", "--io", io_model, stop_with=number):
        pass


@every_io_model
def test_a_second_interrupt_ends_the_program_at_once(io_model):
    """Without it, a client that doesn't read its answers delays the exit by ten seconds or more."""
    server = Server("echo", "--mode", "upper", "--io", io_model)
    try:
        with Client(server.event("listening")["port"]) as client:
            client.socket.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                while True:  # until the server blocks in sending
                    client.send(b"x" * 65_536)
            while server.process.poll() is None:
                server.process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.process.wait(0.1)
        assert server.wait() in (130, -signal.SIGINT)  # a third one may interrupt the interpreter's exit
    finally:
        server.process.kill()
        server.wait()


@every_mode
def test_a_refused_connection_is_reported(mode):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but not listening
        port = unused.getsockname()[1]
        for more in ((), ("--connections", "3")):
            done = send("echo", "send", "--mode", mode, "--port", port, "127.0.0.1", *more)
            assert f"127.0.0.1:{port}: Connection refused" in one_line_error(done, 1)


def test_an_unknown_host_is_reported():
    for host in ("no-such-host.invalid", "a" * 64):
        assert f"lab-echo: {host}:8001: " in one_line_error(send("echo", "send", host), 3)


def test_a_port_in_use_is_reported():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = send("echo", "serve", "--host", "127.0.0.1", "--port", port)
        assert one_line_error(done, 3) == f"lab-echo: 127.0.0.1:{port}: Address already in use"
        assert done.stdout == b""


def test_the_address_of_another_host_is_refused():
    assert "Cannot assign requested address" in one_line_error(
        send("echo", "serve", "--host", "192.0.2.1"), 3
    )


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["serve", "extra"],
        ["serve", "--mode", "other"],
        ["serve", "--io", "other"],
        ["serve", "--port", "65536"],
        ["serve", "--idle", "0"],
        ["serve", "--max-clients", "0"],
        ["serve", "--answer", b"\xff"],
        ["send"],
        ["send", "--port", "x", "host"],
        ["send", "host", "--unknown"],
        ["send", "host", ""],
        ["send", "host", b"\xff"],
        ["send", "host", "x" * 1025],
        ["send", "--mode", "upper", "host", "a", ""],
        ["send", "--mode", "upper", "host", "text", "--connections", "2"],
        ["send", "host", "--connections", "2", "--messages", "2"],
        ["send", "host", "--timeout", "nan"],
    ],
    ids=str,
)
def test_invalid_arguments_are_reported_in_one_line(argv):
    done = subprocess.run(
        [sys.executable, "-m", "lab.programs.echo", *argv],
        cwd=ROOT,
        capture_output=True,
        timeout=WAIT_TIMEOUT,
    )
    assert one_line_error(done, 2).startswith("lab-echo")
    assert done.stdout == b""


def test_more_connections_than_descriptors_are_refused():
    done = send("echo", "send", "host", "--connections", 10**9)
    assert "connections need" in one_line_error(done, 3)


@contextlib.contextmanager
def strange_server(answer, *, close=True):
    """Runs a child process that answers any data with ``answer``."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        child = os.fork()
        if not child:
            connection, _ = listener.accept()
            connection.recv(1024)
            connection.sendall(answer)
            if not close:
                connection.recv(1024)
            os._exit(0)
        try:
            yield listener.getsockname()[1]
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


@pytest.mark.parametrize("mode", ["reverse", "upper"])
@pytest.mark.parametrize(
    ("answer", "message", "code"),
    [
        (b"", "closed the connection before it had answered", 1),
        (b"wrong\x1b[2J", r"wrong answer: 'wrong\x1b[2J'", 1),
    ],
)
def test_a_wrong_answer_is_an_error(mode, answer, message, code):
    with strange_server(answer) as port:
        done = send("echo", "send", "--mode", mode, "--port", port, "127.0.0.1", "abc")
        assert message in one_line_error(done, code)


def test_a_missing_answer_times_out():
    with strange_server(b"", close=False) as port:
        for mode in ("hello", "upper"):
            done = send("echo", "send", "--mode", mode, "--port", port, "127.0.0.1", "a", "--timeout", 0.3)
            assert one_line_error(done, 4) == "lab-echo: timed out"


def test_a_hello_server_that_closes_without_an_answer():
    with strange_server(b"") as port:
        done = send("echo", "send", "--port", port, "127.0.0.1")
        assert "without an answer" in one_line_error(done, 1)


def test_a_hello_server_may_leave_the_connection_open():
    with strange_server("我是服务端".encode(), close=False) as port:
        assert lines(send("echo", "send", "--port", port, "127.0.0.1")) == ["我是服务端"]


@pytest.mark.parametrize("argv", [["--help"], ["serve", "--help"], ["send", "--help"]])
def test_help_has_examples_and_exit_codes(argv):
    text = send("echo", *argv).stdout.decode()
    assert "lab-echo" in text
    assert "exit codes: 0 ok" in text
    assert max(map(len, text.splitlines())) <= 110


# ----------------------------------------------------------- terminal


class Terminal:
    """A program with its own terminal."""

    def __init__(self, *argv):
        self.pid, self.descriptor = pty.fork()
        if not self.pid:
            os.chdir(ROOT)
            os.execv(sys.executable, [sys.executable, *map(str, argv)])
        self.text = ""

    def read_until(self, wanted):
        until = time.monotonic() + WAIT_TIMEOUT
        while wanted not in self.text:
            ready, _, _ = select.select([self.descriptor], [], [], until - time.monotonic())
            assert ready, f"never: {wanted!r} after {self.text!r}"
            self.text += os.read(self.descriptor, 4096).decode()
        head, self.text = self.text.split(wanted, 1)
        return head

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def end(self):
        """The exit code of the program."""
        with contextlib.suppress(OSError):  # EIO: the terminal was closed
            while data := os.read(self.descriptor, 4096):
                self.text += data.decode()
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_terminal_gets_a_prompt_and_quit_ends_it():
    with serving("echo", "--mode", "reverse") as server:
        argv = ("-m", "lab.programs.echo", "send", "--mode", "reverse", "--port", server.port, "127.0.0.1")
        terminal = Terminal(*argv)
        terminal.read_until("> ")
        terminal.type("abc\n")
        terminal.read_until("cba")
        terminal.read_until("> ")
        terminal.type("quit\n")
        assert terminal.end() == 0
        assert server.event("closed")["answered"] == 1


@pytest.mark.parametrize(("key", "code"), [("\x04", 0), ("\x03", 130)], ids=["Ctrl-D", "Ctrl-C"])
def test_a_key_ends_the_prompt(key, code):
    with serving("echo", "--mode", "upper") as server:
        argv = ("-m", "lab.programs.echo", "send", "--mode", "upper", "--port", server.port, "127.0.0.1")
        terminal = Terminal(*argv)
        terminal.read_until("> ")
        terminal.type(key)
        assert terminal.end() == code
        assert "Traceback" not in terminal.text


# ----------------------------------------------------------- leaks


@every_io_model
def test_a_thousand_short_connections_leave_nothing(io_model):
    with serving("echo", "--mode", "upper", "--io", io_model) as server:
        descriptors = f"/proc/{server.process.pid}/fd"
        with Client(server.port) as client:
            assert client.ask(b"abc") == b"ABC"
        before = len(os.listdir(descriptors))
        for number in range(1000):
            client = Client(server.port)
            if number % 2:
                client.reset()
            client.socket.close()
        with Client(server.port) as client:
            assert client.ask(b"abc") == b"ABC"
        wait_until(lambda: len(os.listdir(descriptors)) <= before, "all descriptors are closed")
        wait_until(lambda: len(os.listdir(f"/proc/{server.process.pid}/task")) == 1, "all threads are gone")
