"""When a program that was started on a host counts as ready."""

import pytest

from lab.control.program import CommandFailed, CommandTimeout
from lab.control.readiness import listening_sockets

pytestmark = pytest.mark.lab

LISTENS = """
import socket, sys
kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}[sys.argv[1]]
server = socket.socket(type=kind)
server.bind(("0.0.0.0", 7001))
if kind == socket.SOCK_STREAM:
    server.listen()
sys.stdin.read()
"""
CONNECTS = """
import socket, sys
client = socket.socket(type=socket.SOCK_DGRAM)
client.sendto(b"x", ("127.0.0.1", 9))
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("protocol", ["tcp", "udp"])
def test_a_program_that_listens_without_a_word_is_ready(shared_lab, protocol):
    before = listening_sockets(shared_lab.server.agent)
    with shared_lab.server.start_python(LISTENS, protocol) as server:
        assert len(listening_sockets(shared_lab.server.agent) - before) == 1
        assert server.lines == []


def test_a_server_that_announces_itself_in_other_words_is_ready(shared_lab):
    with shared_lab.server.start("python3 -u -m http.server 7001") as server:
        assert "Serving HTTP" in server.lines[0]


def test_a_program_that_neither_announces_nor_listens_is_told_how_to_be_started(shared_lab):
    with (
        pytest.raises(CommandTimeout, match=r'within 0.2 s.* pass announce=""') as caught,
        shared_lab.client.start_python(CONNECTS, timeout=0.2),
    ):
        pytest.fail("it isn't ready")
    assert caught.value.result.signal == "TERM"


def test_a_program_that_exits_is_not_ready(shared_lab):
    with (
        pytest.raises(CommandFailed, match="exit code 4"),
        shared_lab.client.start("exit 4"),
    ):
        pytest.fail("it isn't ready")


def test_another_program_s_socket_does_not_count(shared_lab):
    with (
        shared_lab.server.start_python(LISTENS, "tcp"),
        pytest.raises(CommandTimeout),
        shared_lab.server.start("exec sleep 60", timeout=0.8),
    ):
        pytest.fail("it isn't ready")
