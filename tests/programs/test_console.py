"""The shared console of the programs: announcements, exit codes, output, signals, arguments."""

import argparse
import errno
import json
import os
import pty
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

from lab.programs import console
from lab.programs.console import Console, Failure, Parser, count, port_number, positive_seconds
from lab.protocols.errors import LocalProtocolError, RemoteProtocolError
from lab.sockets import blocking
from tests.programs.command.command_rig import ROOT, WAIT_TIMEOUT


def program(body, *argv, **options):
    """Runs a program of a few lines with console.main as a process."""
    code = "import sys\nfrom lab.programs.console import *\ndef run():\n" + textwrap.indent(body, "    ")
    code += "\nmain('lab-test', run)\n"
    options = {"capture_output": True, "timeout": WAIT_TIMEOUT, "cwd": ROOT, **options}
    return subprocess.run([sys.executable, "-W", "error", "-c", code, *argv], check=False, **options)


# ----------------------------------------------------------- output


def test_output_is_lines_or_json(capsys):
    Console().say("answer", "abc\x1b[2J\u202e", text="unseen")
    Console(as_json=True).say("answer", "abc\x1b[2J", text="上海\x9b\u202e", size=3)
    for_people, for_machines = capsys.readouterr().out.splitlines()
    assert for_people == r"abc\x1b[2J\u202e"
    assert for_machines.isascii()
    assert for_machines.isprintable()
    event = {"event": "answer", "text": "上海\x9b\u202e", "size": 3, "line": r"abc\x1b[2J"}
    assert json.loads(for_machines) == event


def test_a_server_announces_its_address(capsys):
    with blocking.listen("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        Console().announce(listener)
        Console(as_json=True).announce(listener)
    for_people, for_machines = capsys.readouterr().out.splitlines()
    assert for_people == f"listening on 127.0.0.1:{port}"
    event = json.loads(for_machines)
    assert (event["event"], event["host"], event["port"]) == ("listening", "127.0.0.1", port)


def test_a_character_that_the_locale_lacks_is_escaped():
    done = program("Console().say('x', '上海 é')", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stdout) == (0, b"\\u4e0a\\u6d77 \\xe9\n")


def test_lines_of_threads_stay_whole():
    body = """
        import threading
        def say():
            for _ in range(500):
                Console().say("x", "abcdefghij")
        threads = [threading.Thread(target=say) for _ in range(8)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    """
    assert program(textwrap.dedent(body)).stdout == b"abcdefghij\n" * 4000


def test_a_closed_output_pipe_is_not_reported():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        body = "while True: Console().say('x', 'abc')"
        done = program(body, capture_output=False, stdout=gone, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (1, b"")


def test_a_closed_connection_is_reported():
    body = "raise BrokenPipeError(32, 'Broken pipe', '192.0.2.1:80')"
    done = program(body)
    assert (done.returncode, done.stderr) == (1, b"lab-test: 192.0.2.1:80: Broken pipe\n")


def test_a_full_disk_is_reported():
    with open("/dev/full", "wb") as full:
        done = program("Console().say('x', 'abc')", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (3, b"lab-test: No space left on device\n")


def test_a_closed_standard_output():
    done = program("Console().say('x', 'abc')", preexec_fn=lambda: os.close(1))
    assert (done.returncode, done.stderr) == (0, b"")


# ----------------------------------------------------------- exit codes


@pytest.mark.parametrize(
    ("raised", "code", "message"),
    [
        ("Failure('the check failed')", 1, "the check failed"),
        ("Failure('like this', TIMEOUT)", 4, "like this"),
        ("LocalProtocolError('x', 'our mistake')", 2, "our mistake"),
        ("ProtocolError('x', 'the peer\\'s \\x1b mistake')", 1, r"the peer's \x1b mistake"),
        ("TimeoutError('timed out')", 4, "timed out"),
        ("TimeoutError(110, 'Connection timed out', 'host:80')", 4, "host:80: Connection timed out"),
        ("ConnectionRefusedError(111, 'Connection refused')", 1, "Connection refused"),
        ("PermissionError(13, 'Permission denied', '/x\\ny')", 3, r"/x\ny: Permission denied"),
        ("OSError(98, 'Address already in use', '*:80')", 3, "*:80: Address already in use"),
        ("KeyboardInterrupt()", 130, None),
    ],
)
def test_an_exception_becomes_one_line_and_an_exit_code(raised, code, message):
    done = program(f"raise {raised}")
    assert done.returncode == code
    assert done.stderr.decode() == ("" if message is None else f"lab-test: {message}\n")


@pytest.mark.parametrize("code", [0, 1, 4])
def test_the_return_value_is_the_exit_code(code):
    assert program(f"return {code}").returncode == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure("x"), console.FAILED),
        (LocalProtocolError("x", "x"), console.USAGE),
        (RemoteProtocolError("x", "x"), console.FAILED),
        (socket.gaierror(socket.EAI_NONAME, "x"), console.ENVIRONMENT),
        (OSError(errno.EADDRINUSE, "x"), console.ENVIRONMENT),
        (OSError(errno.EADDRNOTAVAIL, "x"), console.ENVIRONMENT),
        (OSError(errno.EHOSTUNREACH, "x"), console.ENVIRONMENT),
        (OSError(errno.ENETUNREACH, "x"), console.ENVIRONMENT),
        (OSError(errno.ENOSPC, "x"), console.ENVIRONMENT),
        (OSError(errno.ETIMEDOUT, "x"), console.TIMEOUT),
        (TimeoutError(), console.TIMEOUT),
        (OSError(errno.ECONNREFUSED, "x"), console.FAILED),
        (OSError(errno.ECONNRESET, "x"), console.FAILED),
    ],
)
def test_each_error_has_its_exit_code(error, code):
    assert console.exit_code(error) == code


# ----------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops(number):
    body = f"""
        import os, select
        with __import__("contextlib").closing(stop_on_signals()) as stop:
            os.kill(os.getpid(), {int(number)})
            select.select([stop], [], [], {WAIT_TIMEOUT})
            print(stop.is_set())
    """
    done = program(textwrap.dedent(body))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"True\n", b"")


def test_a_signal_to_another_thread_stops_the_program():
    body = f"""
        import select, threading
        with __import__("contextlib").closing(stop_on_signals()) as stop:
            kill = lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            thread = threading.Timer(0.05, kill)
            thread.start()
            print(bool(select.select([stop], [], [], {WAIT_TIMEOUT / 2})[0]))
            thread.join()
    """
    assert program(textwrap.dedent(body)).stdout == b"True\n"


def test_a_second_interrupt_ends_the_program_at_once():
    body = f"""
        import os, time
        with __import__("contextlib").closing(stop_on_signals()):
            os.kill(os.getpid(), {int(signal.SIGINT)})
            os.kill(os.getpid(), {int(signal.SIGINT)})
            time.sleep({WAIT_TIMEOUT})
    """
    done = program(textwrap.dedent(body))
    assert (done.returncode, done.stderr) == (130, b"")


def test_a_closed_stop_leaves_no_wake_up_descriptor_behind():
    body = """
        stop = stop_on_signals()
        stop.close()
        print(signal.set_wakeup_fd(-1))
    """
    assert program(textwrap.dedent(body)).stdout == b"-1\n"


# ----------------------------------------------------------- arguments


@pytest.mark.parametrize("text", ["0", "1", "8001", "65535"])
def test_ports(text):
    assert port_number(text) == int(text)


@pytest.mark.parametrize("text", ["-1", "65536", "x", "", "1.5", " 1", "1_0", "٣", "9" * 5000])
def test_no_ports(text):
    with pytest.raises(argparse.ArgumentTypeError):
        port_number(text)


@pytest.mark.parametrize("text", ["0.1", "1", "1e3", "86400"])
def test_seconds(text):
    assert positive_seconds(text) == float(text)


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "86401", "x", "", "1e400"])
def test_no_seconds(text):
    with pytest.raises(argparse.ArgumentTypeError):
        positive_seconds(text)


@pytest.mark.parametrize("text", ["1", "1000", str(10**12)])
def test_counts(text):
    assert count(text) == int(text)


@pytest.mark.parametrize("text", ["0", "-1", "x", "", "1.0", str(10**12 + 1), "9" * 5000])
def test_no_counts(text):
    with pytest.raises(argparse.ArgumentTypeError):
        count(text)


def parse(monkeypatch, *argv):
    parser = Parser(prog="lab-test")
    commands = parser.add_subparsers(dest="command", required=True)
    send = commands.add_parser("send")
    send.add_argument("host")
    send.add_argument("text", nargs="*")
    send.add_argument("--port", type=port_number)
    commands.add_parser("serve")
    monkeypatch.setattr(sys, "argv", ["lab-test", *argv])
    return parser.parse_texts()


@pytest.mark.parametrize(
    ("argv", "texts"),
    [
        (["send", "h"], []),
        (["send", "h", "a", "b"], ["a", "b"]),
        (["send", "--port", "1", "h", "a"], ["a"]),
        (["send", "h", "--port", "1", "a", ""], ["a", ""]),
        (["send", "h", "a", "--port", "1", "b"], ["a", "b"]),
        (["send", "h", "--", "-a", "--b"], ["-a", "--b"]),
    ],
)
def test_texts_may_stand_between_options(monkeypatch, argv, texts):
    assert parse(monkeypatch, *argv).text == texts


@pytest.mark.parametrize(
    "argv", [[], ["send"], ["serve", "x"], ["send", "h", "--no"], ["send", "h", "--port", "x"]]
)
def test_a_usage_error_is_one_line(monkeypatch, capsys, argv):
    with pytest.raises(SystemExit) as caught:
        parse(monkeypatch, *argv)
    assert caught.value.code == console.USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("--help)")


# ----------------------------------------------------------- input


def test_input_lines_have_no_line_ends():
    done = program("print(list(input_lines()))", input=b"a\r\n\n \xe4\xb8\x8a\xff\nlast")
    assert done.stdout.decode() == r"['a', '', ' 上\udcff', 'last']" + "\n"


def test_a_closed_standard_input():
    assert program("print(list(input_lines()))", preexec_fn=lambda: os.close(0)).stdout == b"[]\n"


def test_a_terminal_gets_a_prompt():
    controller, terminal = pty.openpty()
    os.write(controller, b"abc\n\x04")
    try:
        done = program("print(list(input_lines()))", stdin=terminal)
    finally:
        os.close(controller)
        os.close(terminal)
    assert done.stdout.decode().endswith("['abc']\n")
    assert "Ctrl-D ends" in done.stderr.decode()


# ----------------------------------------------------------- descriptors


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_limit():
    body = """
        import resource
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
        allow_descriptors(200)
        print(resource.getrlimit(resource.RLIMIT_NOFILE))
        allow_descriptors(10)
        print(resource.getrlimit(resource.RLIMIT_NOFILE))
        allow_descriptors(300)
    """
    done = program(textwrap.dedent(body))
    assert done.stdout.decode().splitlines() == ["(264, 300)", "(264, 300)"]
    assert done.stderr.decode() == "lab-test: 300 connections need 364 descriptors, but the limit is 300\n"
    assert done.returncode == 3
