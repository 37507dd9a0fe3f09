"""`expect`: assertions that wait until they hold, and that explain a failure."""

import re
import socket
import threading
import time
from dataclasses import replace

import pytest

from lab.agent import reach
from lab.errors import UsageError
from lab.evidence.packets.traffic import Traffic
from lab.testing import expect
from lab.testing.expectations.hosts import OBSTACLES
from lab.testing.expectations.packets import Count, Filter
from lab.testing.expectations.waiting import wait_until
from tests.evidence import forge

PORT = 8088
SERVER = f"lab-echo serve --port {PORT}"
UDP_SERVER = """
import socket, sys
server = socket.socket(type=socket.SOCK_DGRAM)
server.bind(("", int(sys.argv[1])))
print("listening on", sys.argv[1], flush=True)
while True:
    server.sendto(*server.recvfrom(100))
"""
TWO_LINES = "echo one; sleep 0.2; echo two; echo three >&2; exit 3"


def failure_of(expectation):
    """The text of its failure."""
    with pytest.raises(AssertionError) as caught:
        expectation()
    return str(caught.value)


@pytest.mark.lab
def test_a_host_reaches_a_server_that_starts_later(lab):
    reached = threading.Event()

    def start():
        with lab.server.start(SERVER):
            reached.wait(20)

    late = threading.Timer(0.3, start)
    late.start()
    expect(lab.client).to_reach(lab.server, PORT, timeout=10)
    expect(lab.client).to_reach("server", PORT)
    expect(lab.client).to_reach(lab.server, PORT, ipv6=True)
    reached.set()
    late.join()


@pytest.mark.lab
def test_the_reason_for_which_a_host_does_not_reach_a_server_is_known(lab):
    assert expect(lab.client).not_to_reach(lab.server, PORT, during=0.3) == "refused"
    assert expect(lab.client).not_to_reach(lab.server, PORT, protocol="udp", during=0.3) == "refused"
    assert expect(lab.client).not_to_reach("203.0.113.9", PORT, during=0.3) == "unreachable"
    with lab.link.partitioned(verify=False):
        expect(lab.client).not_to_reach(lab.server, PORT, during=0.3, obstacle="timed out")
        expect(lab.packets()).to_have(source="client", port=PORT, flags="SYN", lost=True)


@pytest.mark.lab
def test_a_server_that_is_reached_or_not_is_explained(lab):
    text = failure_of(lambda: expect(lab.client).to_reach(lab.server, PORT, timeout=0.3))
    first, second = text.splitlines()
    assert re.fullmatch(
        rf"expected kali to reach win10:{PORT} \(tcp\) within 0.3 s, but the connection was refused"
        r" \(\d+ attempts\): nothing listens there",
        first,
    )
    assert second.startswith("  diagnosis: kali was refused by win10")
    text = failure_of(lambda: expect(lab.client).not_to_reach(lab.server, 22, during=0.3))
    assert text.startswith(
        "expected kali not to reach win10:22 (tcp) during 0.3 s, but it was reached (1 attempt)"
    )
    text = failure_of(
        lambda: expect(lab.client).not_to_reach(lab.server, PORT, during=0.2, obstacle="timed out")
    )
    assert text.startswith(
        f"expected kali not to reach win10:{PORT} (tcp) (timed out), but the connection was refused"
    )


@pytest.mark.lab
def test_udp_reaches_a_server_that_answers(lab):
    with lab.server.start_python(UDP_SERVER, str(PORT)):
        expect(lab.client).to_reach(lab.server, PORT, protocol="udp")


@pytest.mark.lab
def test_a_program_says_something_and_exits(lab):
    with lab.server.start(TWO_LINES, announce="") as program:
        assert expect(program).to_say("two") == "two"
        assert expect(program).to_say(re.compile("^th.ee$")) == "three"
        expect(program).to_exit(3)
        expect(program).not_to_say("four", during=0)
        text = failure_of(lambda: expect(program).not_to_say("four"))
        assert text.splitlines()[0].endswith("but it has failed: exit code 3 (during=0 accepts that)")


@pytest.mark.lab
def test_a_program_that_does_something_else_is_explained(lab):
    with lab.server.start(f"sh -c '{TWO_LINES}'", announce="") as program:
        text = failure_of(lambda: expect(program).to_say("four"))
        assert text.splitlines()[0].startswith("expected 'four' from win10$ sh -c")
        assert text.splitlines()[0].endswith("which exited without printing it")
        assert text.splitlines()[1:4] == ["  stdout: one", "  stdout: two", "  stderr: three"]
        assert (
            failure_of(lambda: expect(program).to_exit())
            .splitlines()[0]
            .endswith("to exit with 0: exit code 3")
        )
        assert "expected no 'two'" in failure_of(lambda: expect(program).not_to_say("two"))
    with lab.server.start("sleep 60", announce="") as program:
        began = time.monotonic()
        text = failure_of(lambda: expect(program).to_say("x", timeout=0.2))
        assert text == "expected 'x' within 0.2 s from win10$ sleep 60\n  it printed nothing"
        assert failure_of(lambda: expect(program).to_exit(timeout=0.2)).splitlines()[0] == (
            "expected win10$ sleep 60 to exit within 0.2 s; it is still running"
        )
        expect(program).not_to_say("x", during=0.2)
        assert time.monotonic() - began >= 0.6


@pytest.mark.lab
def test_packets_are_read_again_until_they_are_there(lab):
    before = lab.packets()
    with lab.server.start(SERVER):
        expect(lab.client).to_reach(lab.server, PORT)
        lab.client.run(f"echo hello | nc -N -w 1 server {PORT}", check=True)
    expect(before).to_have(
        source=lab.client, to="server", port=PORT, protocol="tcp", payload="hello", count=1
    )
    expect(before).to_have(source="win10", source_port=PORT, flags="SYN+ACK", at_least=2)
    expect(before).to_have(to=lab.server.address, port=PORT, lost=False)
    expect(before.select(lambda packet: packet.dport == PORT)).not_to_have(source=lab.server)
    expect(before).not_to_have(lost=True, during=0)


@pytest.mark.lab
def test_packets_that_are_missing_or_there_are_explained(lab):
    lab.client.run(f"nc -zw 1 server {PORT}")
    wanted = {"source": "client", "to": lab.server, "port": PORT + 1, "flags": "SYN", "timeout": 0.2}
    first, nearest, *_, last = failure_of(lambda: expect(lab.packets()).to_have(**wanted)).splitlines()
    assert first == f"expected at least 1 packet within 0.2 s: kali → win10:{PORT + 1} SYN; there are 0"
    assert re.fullmatch(rf"  seen: kali:\d+ → win10:{PORT} SYN  \(other port\)", nearest)
    assert last.startswith("  diagnosis: ")
    text = failure_of(lambda: expect(lab.packets()).not_to_have(port=PORT, flags="SYN"))
    assert text.startswith(f"expected no packet: * → *:{PORT} SYN; there are ")


@pytest.mark.lab
@pytest.mark.parametrize(
    ("mistake", "text"),
    [
        (lambda lab: expect(lab), "expected a host, a program or lab.packets()"),
        (lambda lab: expect(lab.client).to_reach(lab.server, 0), "port=0: expected a number from 1 to 65535"),
        (lambda lab: expect(lab.client).to_reach(lab.server, "80"), "port='80'"),
        (lambda lab: expect(lab.client).to_reach(lab.server, 80, protocol="sctp"), "expected tcp, udp"),
        (lambda lab: expect(lab.client).to_reach(lab.server, 80, timeout=-1), "timeout=-1: expected seconds"),
        (lambda lab: expect(lab.client).to_reach(lab, 80), "is neither a host nor a name"),
        (lambda lab: expect(lab.client).not_to_reach("sevrer", 80), "no node 'sevrer'; there are "),
        (lambda lab: expect(lab.client).not_to_reach("999.1.1.1", 80), "no node '999.1.1.1'"),
        (lambda lab: expect(lab.client).not_to_reach("server:22", 80), "no node 'server:22'"),
        (
            lambda lab: expect(lab.client).not_to_reach(lab.server, 80, obstacle="lost"),
            "obstacle='lost': expected refused, reset, unreachable, timed out",
        ),
        (
            lambda lab: expect(lab.packets()).to_have(prot=80),
            "unknown property 'prot'; there are source, to,",
        ),
        (lambda lab: expect(lab.packets()).to_have(to="sever"), "no node 'sever'; there are client, kali,"),
    ],
)
def test_a_mistake_is_refused(lab, mistake, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        mistake(lab)


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        ({"port": 70_000}, "port=70000"),
        ({"flags": "SIN"}, "no TCP flag 'SIN'"),
        ({"protocol": "http"}, "protocol='http'"),
        ({"lost": "yes"}, "lost='yes' has a wrong type"),
        ({"payload": 3}, "payload=3 has a wrong type"),
    ],
)
def test_an_impossible_filter_is_refused(wanted, text):
    with pytest.raises(UsageError, match=re.escape(text)):
        Filter(**wanted)


def test_a_count_is_exact_or_a_minimum():
    assert [Count().holds(n) for n in (0, 1, 2)] == [False, True, True]
    assert [Count(exactly=1).holds(n) for n in (0, 1, 2)] == [False, True, False]
    assert [Count(at_least=2).holds(n) for n in (0, 1, 2, 3)] == [False, False, True, True]
    for wrong in (
        {"exactly": 0},
        {"at_least": 0},
        {"exactly": -1},
        {"at_least": "1"},
        {"exactly": 1, "at_least": 1},
    ):
        with pytest.raises(UsageError):
            Count(**wrong)


def test_a_name_that_is_not_resolved_is_no_obstacle():
    assert reach.outcome_of(socket.gaierror(-2, "Name or service not known")) == "unresolved"
    assert "unresolved" not in OBSTACLES


LONG = dict(at=1.0, flags="PA", length=1000)


def test_a_payload_that_was_cut_proves_nothing():
    traffic = forge.traffic(forge.crossed(forge.tcp(**LONG, payload=b"begin")))
    cut = "of 1 packet only the first 5 bytes of the payload were kept"
    assert cut in failure_of(lambda: expect(traffic).not_to_have(payload="secret", during=0))
    assert cut in failure_of(lambda: expect(traffic).to_have(payload="secret", timeout=0))
    expect(traffic).to_have(payload="begin", count=1, timeout=0)
    expect(traffic).not_to_have(payload="secret", port=9, during=0)
    whole = forge.traffic(forge.crossed(forge.udp(1.0, b"all of it")))
    expect(whole).not_to_have(payload="secret", during=0)


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        ({"cut": 3}, "3 packets were seen and not kept"),
        ({"dropped": 2}, "the kernel dropped 2 packets"),
        ({"ended": "its host was off for a while"}, "it ended before the run did: its host was off"),
    ],
)
def test_a_capture_that_is_not_complete_proves_only_what_it_shows(problem, reason):
    captures = [replace(forge.CAPTURES[0], **problem), forge.CAPTURES[1]]
    traffic = Traffic(forge.crossed(forge.udp(1.0)), captures, forge.NAMES)
    expect(traffic).to_have(port=9090, timeout=0)
    expect(traffic).to_have(port=9090, at_least=1, timeout=0)
    for check in (
        lambda: expect(traffic).not_to_have(port=9, during=0),
        lambda: expect(traffic).to_have(port=9090, count=1, timeout=0),
        lambda: expect(traffic).to_have(port=9, timeout=0),
    ):
        assert f"the capture of clients isn't complete ({reason}" in failure_of(check)


def test_a_value_is_read_until_it_holds_or_the_time_is_over():
    values = iter(range(100))
    assert wait_until(lambda: next(values), lambda value: value == 3, 5) == (3, True)
    began = time.monotonic()
    assert wait_until(lambda: 0, bool, 0.2) == (0, False)
    assert 0.2 <= time.monotonic() - began < 2


def test_traffic_that_is_not_recorded_any_more_stays_as_it_is():
    traffic = Traffic([], [], {})
    assert traffic.again() is traffic
    with pytest.raises(AssertionError, match="there were no packets"):
        expect(traffic).to_have(timeout=0)
