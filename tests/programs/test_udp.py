"""lab-udp: notices, echoes and requests, with tutorials' programs and over a lossy network."""

import contextlib
import random
import signal
import socket
import threading

import pytest

from lab.protocols.udp import NO_TOKEN, REQUEST
from tests.programs.command.command_rig import WAIT_TIMEOUT
from tests.programs.echo_rig import (
    events,
    lines,
    one_line_error,
    send,
    serving,
    tutorial_client,
    tutorial_server,
)
from tests.sockets.test_datagram import nobody


def udp(mode, port, *argv, stdin=""):
    return send("udp", "send", "--mode", mode, "--port", port, "127.0.0.1", *argv, stdin=stdin)


def free_port():
    """A port that was free a moment ago; another process may take it before it is used."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


# ----------------------------------------------------------- notice


def test_a_notice_is_printed_with_its_sender():
    with serving("udp") as server:
        sent = events(udp("notice", server.port, "--json", "你好", ""))
        assert [event["size"] for event in sent] == [6, 0]
        for text, size in (("你好", 6), ("", 0)):
            notice = server.event("datagram")
            assert (notice["host"], notice["port"]) == ("127.0.0.1", sent[0]["local_port"])
            assert (notice["text"], notice["size"]) == (text, size)


def test_the_text_output_shows_sender_and_data():
    with serving("udp") as server:
        (line,) = lines(udp("notice", server.port, "你好"))
        port = line.split()[5]
        assert line == f"sent 6 bytes from port {port} to 127.0.0.1:{server.port}"
        assert server.event("datagram")["line"] == f"127.0.0.1:{port} says: 你好"
        udp("notice", server.port, "")
        assert server.event("datagram")["line"].endswith("sent no bytes")


def test_a_sender_can_choose_its_port():
    with serving("udp") as server:
        port = free_port()
        assert lines(udp("notice", server.port, "--bind", port, "abc"))
        assert server.event("datagram")["port"] == port


def test_each_line_of_standard_input_is_a_datagram():
    with serving("udp") as server:
        assert len(lines(udp("notice", server.port, stdin="a\n\nquit\nnever sent\n"))) == 2
        assert [server.event("datagram")["text"] for _ in range(2)] == ["a", ""]


def test_both_address_families_are_received():
    with serving("udp") as server:
        for host in ("127.0.0.1", "::1"):
            assert lines(send("udp", "send", "--port", server.port, host, "x"))
            assert server.event("datagram")["host"] == host


def test_a_tutorials_sender():
    with serving("udp") as server:
        tutorial_client("notice", server.port)
        assert server.event("datagram")["text"] == "你好"
        port = free_port()
        tutorial_client("notice", server.port, port)
        assert server.event("datagram")["port"] == port


def test_a_tutorials_receiver():
    with tutorial_server("notice") as server:
        (sent,) = events(udp("notice", server.port, "--json", "你好"))
        assert server.line() == f"127.0.0.1 {sent['local_port']} 你好"


def test_sending_before_a_receiver_exists_is_no_error():
    with nobody() as port:
        assert len(lines(udp("notice", port, "a", "b", "c"))) == 3


def test_a_connected_sender_reports_a_refusal():
    with nobody() as port:
        done = udp("notice", port, "--connect", "--timeout", WAIT_TIMEOUT, "a", "b")
        line = one_line_error(done, 1)
        assert line.startswith(f"lab-udp: 127.0.0.1:{port}: Connection refused")
        assert done.stdout.decode().startswith("sent 1 bytes")  # the first was sent all the same


def test_a_connected_sender_without_a_refusal_succeeds():
    with serving("udp") as server:
        assert len(lines(udp("notice", server.port, "--connect", "--timeout", 0.1, "a"))) == 1


def test_control_characters_from_a_sender_are_escaped():
    with serving("udp") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"\x1b[2J\xff", ("127.0.0.1", server.port))
        assert server.event("datagram")["line"].endswith(r"says: \x1b[2J\xff")


def test_a_long_notice_is_truncated_in_the_output():
    with serving("udp") as server:
        lines(udp("notice", server.port, "--size", 65_507))
        notice = server.event("datagram")
        assert notice["size"] == 65_507
        assert notice["text"].endswith("… (65507 bytes)")


# ----------------------------------------------------------- echo


@pytest.mark.parametrize("connect", [(), ("--connect",)], ids=["unconnected", "connected"])
@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 65_507])
def test_a_datagram_of_any_size_comes_back(size, connect):
    with serving("udp", "--mode", "echo") as server:
        answers = events(udp("echo", server.port, "--json", "--size", size, "--count", 3, *connect))
        assert [answer["size"] for answer in answers] == [size] * 3
        if size > 20:
            assert [answer["text"][:10] for answer in answers] == ["datagram 1", "datagram 2", "datagram 3"]


@pytest.mark.parametrize("mode", ["notice", "echo"])
def test_a_datagram_over_the_limit_of_udp_is_refused_locally(mode):
    with nobody() as port:
        done = udp(mode, port, "--size", 65_508)
        assert "too long" in one_line_error(done, 2)
        assert "EMSGSIZE" in one_line_error(done, 2)
        assert done.stdout == b""


def test_texts_come_back():
    with serving("udp", "--mode", "echo") as server:
        assert lines(udp("echo", server.port, "你好", "", "abc")) == ["你好", "(no bytes)", "abc"]


def test_a_tutorials_echo_client():
    with serving("udp", "--mode", "echo") as server:
        assert tutorial_client("udp_echo", server.port, stdin="你好\nabc\n") == ["你好", "abc"]


def test_a_tutorials_echo_server():
    with tutorial_server("udp_echo") as server:
        assert lines(udp("echo", server.port, "你好", "abc")) == ["你好", "abc"]


def test_missing_echoes_are_reported():
    with nobody() as port:
        done = udp("echo", port, "--timeout", 0.1, "a", "b", "--json")
        assert "2 unanswered, each after 0.1 s; use --connect" in one_line_error(done, 4)
        assert [event["event"] for event in events(done)] == ["lost", "lost"]
        done = udp("echo", port, "--timeout", WAIT_TIMEOUT, "--connect", "a")
        assert "Connection refused" in one_line_error(done, 1)


# ----------------------------------------------------------- request


def test_requests_are_answered_once_each():
    with serving("udp", "--mode", "request") as server:
        found = events(udp("request", server.port, "--json", "a", "b", "上海 c"))
        assert sorted(event["text"] for event in found[:-1]) == ["A", "B", "上海 C"]
        assert found[-1] == {"event": "done", "asked": 3, "answered": 3, "sent_again": 0, "dropped": 0}
        carried_out = [server.event("request") for _ in range(3)]
        assert {event["id"] for event in carried_out} == {event["id"] for event in found[:-1]}


def test_an_answer_longer_than_its_request_comes_after_validation():
    with serving("udp", "--mode", "request", "--answer", "x" * 3000) as server:
        found = events(udp("request", server.port, "--json", "--size", 1, "--count", 20))
        assert {event["text"] for event in found[:-1]} == {"x" * 1024 + "… (3000 bytes)"}
        assert found[-1]["answered"] == 20
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(WAIT_TIMEOUT)
            request = bytes([REQUEST]) + b"i" * 16 + NO_TOKEN
            sock.sendto(request, ("127.0.0.1", server.port))
            assert len(sock.recv(65_535)) <= len(request)


def test_garbage_is_dropped():
    with serving("udp", "--mode", "request") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for size in (0, 1, 16, 32, 33, 65_507):
                sock.sendto(
                    random.Random(size).randbytes(size).replace(b"\x01", b"\x02"), ("127.0.0.1", server.port)
                )
        assert "A" in lines(udp("request", server.port, "a"))


def test_a_request_without_an_answer_fails():
    with nobody() as port:
        done = udp("request", port, "--timeout", 0.4, "--json", "a")
        assert "1 not answered within 0.4 s" in one_line_error(done, 4)
        lost, end = events(done)
        assert (lost["event"], lost["sent"]) == ("lost", "a")
        assert (end["asked"], end["answered"], end["sent_again"]) == (1, 0, 1)


class BadNetwork:
    """A relay that drops, duplicates and delays datagrams in both directions, reproducibly."""

    def __init__(self, server_port):
        self._server = ("127.0.0.1", server_port)
        self._chance = random.Random(7)
        self._held = []
        self._client = None
        self._sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
        for sock in self._sockets:
            sock.bind(("127.0.0.1", 0))
        self.port = self._sockets[0].getsockname()[1]
        self.lost = self.doubled = self.overtaken = 0
        self._threads = [threading.Thread(target=self._relay, args=(way,)) for way in (0, 1)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for own in self._sockets:
                sock.sendto(b"stop", own.getsockname())
        for thread in self._threads:
            thread.join(WAIT_TIMEOUT)
        for sock in self._sockets:
            sock.close()

    def _relay(self, way):
        incoming, outgoing = self._sockets[way], self._sockets[1 - way]
        while (received := incoming.recvfrom(65_535))[0] != b"stop":
            data, sender = received
            if way == 0:
                self._client = sender
            target = self._server if way == 0 else self._client
            if self._chance.random() < 0.2:
                self.lost += 1
            elif self._chance.random() < 0.2:
                self.overtaken += 1
                self._held.append((outgoing, data, target))
            else:
                for _ in range(1 + (self._chance.random() < 0.3)):
                    outgoing.sendto(data, target)
                    self.doubled += 1
                while self._held:
                    late, data, target = self._held.pop()
                    late.sendto(data, target)


def test_the_delay_of_the_first_retransmission_is_configurable():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.setblocking(False)
        done = udp("request", silent.getsockname()[1], "--timeout", 0.4, "--retry", 0.05, "a")
        assert done.returncode == 4
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while silent.recv(65_535):
                sent += 1
    assert sent > 2  # at 0, 0.05, 0.15 and 0.35 s; by default at 0 and 0.25 s


def test_every_request_is_executed_and_answered_exactly_once_over_a_bad_network():
    with serving("udp", "--mode", "request") as server, BadNetwork(server.port) as network:
        found = events(udp("request", network.port, "--json", "--size", 30, "--count", 40, "--timeout", 60))
        assert found[-1]["asked"] == found[-1]["answered"] == 40
        assert found[-1]["sent_again"] > 0
        assert found[-1]["dropped"] > 0
        assert network.lost > 0
        assert network.overtaken > 0
        carried_out = [server.event("request")["id"] for _ in range(40)]
        assert len(set(carried_out)) == 40
        assert set(carried_out) == {event["id"] for event in found[:-1]}
        server.process.send_signal(signal.SIGTERM)  # and there was no further one:
        server.wait()
        assert server._lines.empty()


# ----------------------------------------------------------- errors


@pytest.mark.parametrize("mode", ["notice", "echo", "request"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_server(mode, number):
    with serving("udp", "--mode", mode, stop_with=number):
        pass


def test_a_port_in_use_is_reported():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        done = send("udp", "serve", "--host", "127.0.0.1", "--port", port)
        assert one_line_error(done, 3) == f"lab-udp: 127.0.0.1:{port}: Address already in use"
        with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as sender:
            sender.bind(("", 0))
            port = sender.getsockname()[1]
            done = send("udp", "send", "--bind", port, "127.0.0.1", "x")
            assert one_line_error(done, 3) == f"lab-udp: *:{port}: Address already in use"


def test_an_unknown_host_is_reported():
    assert "no-such-host.invalid" in one_line_error(send("udp", "send", "no-such-host.invalid", "x"), 3)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["serve", "extra"],
        ["send"],
        ["send", "host", "text", "--size", "1"],
        ["send", "host", "--size", "-1"],
        ["send", "host", "--size", "1000001"],
        ["send", "host", "--count", "0", "x"],
        ["send", "host", "--bind", "65536", "x"],
        ["send", "host", "--timeout", "inf", "x"],
        ["serve", "--mode", "request", "--answer", "x" * 65_491],
    ],
    ids=lambda argv: " ".join(argv)[:50],
)
def test_invalid_arguments_are_reported_in_one_line(argv):
    done = send("udp", *argv)
    assert one_line_error(done, 2).startswith("lab-udp")
    assert done.stdout == b""


def test_a_request_too_long_for_a_datagram_is_refused():
    with nobody() as port:
        assert "65508 bytes exceeds the limit of 65507" in one_line_error(
            udp("request", port, "--size", 65_475), 2
        )


@pytest.mark.parametrize("argv", [["--help"], ["serve", "--help"], ["send", "--help"]])
def test_help_has_examples_and_exit_codes(argv):
    text = send("udp", *argv).stdout.decode()
    assert "lab-udp" in text
    assert "exit codes: 0 ok" in text
    assert max(map(len, text.splitlines())) <= 110
