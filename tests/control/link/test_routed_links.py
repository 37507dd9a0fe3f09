"""The links of a real lab with three routers, one of which translates addresses; partitions of its hosts."""

import json
import os
import subprocess
import sys
import time

import pytest

from lab.control.link.measurement import failures
from lab.control.link.router import LinkFailure
from lab.control.transport import from_engine
from lab.errors import Unsupported
from lab.link.settings import Impairment
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play
from tests.described_lab import lab_from

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("links")]

DESCRIPTION = """
[hosts.alice]
segment = "office"
[hosts.bob]
segment = "dmz"
[hosts.carol]
segment = "far"
[hosts.dave]
segment = "home"

[segments]
office = {}
dmz = {}
core = {}
far = {}
home = {}

[routers.main]
segments = ["office", "dmz", "core"]
[routers.branch]
segments = ["core", "far"]
[routers.edge]
segments = ["home", "dmz"]
nat = "home"
"""
LINKS = ["office–dmz", "office–core", "dmz–core", "core–far", "home–dmz"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A lab of this topology."""
    file = tmp_path_factory.mktemp("links") / "lab.toml"
    file.write_text(DESCRIPTION)
    with lab_from(file, "links") as name:
        yield name


@pytest.fixture(scope="module")
def connected(project):
    with from_engine(project) as lab:
        lab.connect()
        yield lab


@pytest.fixture
def lab(connected):
    """The lab without settings; they are cleared afterwards."""
    connected.link.begin("1")
    yield connected
    connected.link.begin("1")


def ping(host, target, count=3, version=4):
    """(received, the average round trip in ms)."""
    text = host.run(f"ping -{version} -q -c {count} -i 0.05 -W 0.5 {target}", timeout=60).stdout
    return int(text.split(" received")[0].split()[-1]), float(text.split("/")[4]) if "rtt" in text else None


def flush(project):
    """Removes the rules on a router behind the lab's back."""
    argv = ["docker", "exec", "--user", "root", f"{project}-main-1", "iptables", "-t", "mangle", "-F"]
    subprocess.run(argv, check=True)


def test_one_direction_of_one_link_is_impaired(lab):
    lab.link("office", "dmz").set(delay=0.04, direction="to-dmz")
    (checks,) = [change.measured for change in lab.link.changes]
    delays = {way: check.measured for way in checks for check in checks[way] if check.what == "delay"}
    assert delays == {"to-office": pytest.approx(0, abs=0.01), "to-dmz": pytest.approx(0.04, abs=0.01)}
    assert ping(lab.alice, "bob")[1] >= 40
    assert ping(lab.alice, "bob", version=6)[1] >= 40
    assert ping(lab.alice, "carol")[1] < 20


def test_links_that_share_an_interface_have_their_own_lines(lab):
    lab.link("office", "dmz").set(rate=3e6, verify=False)
    lab.link("dmz", "core").set(rate=6e6, delay=0.01)
    lab.link("office", "dmz").verify()
    attempts = [change.attempts[-1] for change in lab.link.changes]
    assert [failures(attempt) for attempt in attempts] == [[], []]


def test_a_link_between_two_routers_is_measured_by_the_hosts_beyond(lab):
    lab.link("core", "far").set(loss=0.3)
    with pytest.raises(
        Unsupported, match="packets between .* also cross the link core–far, which has settings"
    ):
        lab.link("dmz", "core").set(delay=0.02)
    lab.link("dmz", "core").set(delay=0.02, verify=False)
    assert lab.link("core", "dmz").show().settings["to-core"] == Impairment(delay=0.02)


def test_a_link_is_measured_through_address_translation(lab):
    link = lab.link("home", "dmz")
    link.set(delay=0.02, loss=0.1)
    link.partition("to-dmz")
    (check,) = link.changes[-1].measured["to-home"]
    assert (check.ok, check.is_known) == (None, False)
    assert check.note.startswith("not measured: a router translates addresses")
    link.partition("to-home")
    assert [c.measured for c in link.changes[-1].measured["to-home"]] == [1.0]


def test_datagrams_through_address_translation_are_delayed_and_duplicated_from_the_first_on(lab):
    receive = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('', 7070)); s.settimeout(1)\n"
        "print('listening on', flush=True); count = 0\n"
        "try:\n"
        "    while s.recv(9): count += 1\n"
        "except TimeoutError: print('received', count, flush=True)"
    )
    send = "import socket; s = socket.socket(type=2)\nfor _ in range(30): s.sendto(b'x', ('bob', 7070))"
    lab.link("home", "dmz").set(delay=0.03, jitter=0.02, duplication=1.0, verify=False)
    with lab.bob.start_python(receive) as receiver:
        lab.dave.python(send)
        assert receiver.wait_for_line("received") == "received 60"


def test_hosts_of_different_sets_cannot_reach_each_other(lab):
    with lab.partition({lab.alice, lab.bob}, {"carol"}) as partition:
        assert partition.dropped == 0
        assert ping(lab.alice, "carol") == (0, None)
        assert ping(lab.carol, "bob", version=6) == (0, None)
        assert partition.dropped == 6
        assert ping(lab.alice, "bob")[0] == 3
        with lab.partition("alice", "bob"):
            assert ping(lab.bob, "alice")[0] == 0
        assert ping(lab.bob, "alice")[0] == 3
    assert ping(lab.alice, "carol")[0] == 3
    assert partition.dropped == 6
    assert {router.title for router in partition.routers} == {"main", "branch"}


RECEIVE = (
    "import socket; s = socket.create_server(('', 8080)); print('listening on', flush=True)\n"
    "c, _ = s.accept()\n"
    "while data := c.recv(100): print('received', flush=True)"
)
SEND = (
    "import socket, time; s = socket.create_connection(('carol', 8080)); print('listening on', flush=True)\n"
    "while True: s.sendall(b'x'); time.sleep(0.02)"
)


def test_an_established_connection_sees_silence_and_goes_on(lab):
    with lab.carol.start_python(RECEIVE) as server, lab.alice.start_python(SEND) as client:
        server.wait_for_line("received")
        with lab.partition("alice", "carol", one_way=True) as partition:
            silent, deadline = len(server.lines), time.monotonic() + 10
            while partition.dropped < 2:  # a segment and its first retransmission
                assert time.monotonic() < deadline
            assert len(server.lines) == silent
        server.wait_for_line("received", after=silent)
        assert not client.ended


def test_a_partition_of_a_host_behind_address_translation(lab):
    with lab.link("home", "dmz").impaired(delay=0.02, verify=False), lab.partition("dave", ["bob", "carol"]):
        assert ping(lab.dave, "bob")[0] == 0
        assert ping(lab.dave, "carol")[0] == 0
        assert ping(lab.dave, "alice")[1] >= 40


def test_a_partition_that_does_not_hold_is_never_entered(lab, project, monkeypatch):
    router = lab.link.routers[0]
    partition = router.partition
    monkeypatch.setattr(router, "partition", lambda asked: (partition(asked), flush(project))[0])
    with pytest.raises(LinkFailure, match="removed"), lab.partition("alice", "bob"):
        raise AssertionError("the partition was accepted")
    assert lab.link.failure


def played(project, tmp_path, run):
    scenario = Scenario("tried", "Tried", "", run, lambda record: None)
    outcome = play(scenario, lambda observe: from_engine(project, observe), lambda e: None, tmp_path, seed=7)
    return outcome, json.loads((outcome.folder / "record.json").read_text())["impairment"]


def test_a_run_records_each_link_and_partition_and_clears_all_routers(lab, project, tmp_path):
    def run(lab):
        lab.link("office", "dmz").set(delay=0.01, verify=False)
        lab.link("core", "far").partition(verify=False)
        with lab.partition({"alice"}, {"carol"}, verify=False):
            ping(lab.alice, "carol")
        return {}

    outcome, impairment = played(project, tmp_path, run)
    assert outcome.verdict == "pass", outcome.reason
    names = [change["link"] for change in impairment["changes"]]
    assert sorted(names) == ["core–far", "core–far", "office–dmz", "office–dmz"]
    (partition,) = impairment["partitions"]
    assert (partition["sets"], partition["routers"]) == ([["alice"], ["carol"]], ["main", "branch"])
    assert partition["dropped"] == [{"from": 0, "to": 1, "packets": 3}, {"from": 1, "to": 0, "packets": 0}]
    assert all(status.settings.is_nothing for status in lab.link.status().values())


def test_a_run_whose_partition_was_flushed_never_passes(lab, project, tmp_path):
    def run(lab):
        with lab.partition("alice", "bob"):
            flush(project)
        return {}

    outcome, _ = played(project, tmp_path, run)
    assert outcome.verdict == "fail"
    assert "the rules of a partition were removed" in outcome.reason


def test_the_command_line_shows_and_impairs_each_link(lab, project):
    def link(*words):
        argv = [sys.executable, "-m", "lab", "link", *words, "-p", project]
        environment = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)

    refused = link("set", "--delay", "20ms")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == (
        f"lab: this lab has several links: choose one with --between A B: {', '.join(LINKS)}\n"
    )
    done = link("set", "--delay", "20ms", "--between", "alice", "dmz", "--no-verify")
    assert done.returncode == 0, done.stderr
    lab.link("core", "far").partition("to-far", verify=False)
    shown = link("show").stdout.splitlines()
    assert [line for line in shown if "–" in line] == [
        "office–dmz: both ways: 20 ms",
        "office–core: unimpaired",
        "dmz–core: unimpaired",
        "core–far: to-far: cut",
        "home–dmz: unimpaired",
    ]
    assert link("clear").stdout == "All links are unimpaired.\n"
