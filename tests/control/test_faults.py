"""Faults of real hosts: their effects, and that they are healed however their context ends."""

import json
import os
import signal
import time

import pytest

from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure
from lab.evidence.event_text import render

pytestmark = pytest.mark.lab


@pytest.fixture
def seen(lab):
    """The events of the test."""
    events = []
    with lab.observed_by(events.append):
        yield events


def faults(seen):
    return [(render(event), event.fault, event.edge) for event in seen if event.kind == "fault"]


def edges(name, end):
    return [(name, name, "begin"), (end, name, "end")]


def reaches(lab, version=4):
    return lab.client.run(f"ping -{version} -c 1 -W 1 server", timeout=30).ok


def test_an_unplugged_cable_cuts_the_segment_but_not_mgmt(lab, seen):
    global6 = "ip -6 -o address | grep -v fe80 | cut -c1-60"
    routes = f"ip route; ip -6 route | grep -v 'fe80\\|multicast'; ip -br -4 address; {global6}"
    before = lab.server.run(routes).lines
    with lab.server.cable_pulled():
        assert not reaches(lab)
        assert not reaches(lab, 6)
        states = {
            link["ifname"]: link["operstate"] for link in json.loads(lab.server.run("ip -j link").stdout)
        }
        assert list(states.values()).count("DOWN") == 1
    assert reaches(lab)
    assert reaches(lab, 6)
    assert sorted(lab.server.run(routes).lines) == sorted(before)
    assert faults(seen) == edges("cable pulled", "cable plugged in")


def test_a_connection_outlives_a_short_cut_of_the_cable(lab):
    with lab.server.start("lab-echo serve --mode upper --port 8078"):
        with lab.client.start("nc -4 server 8078", announce="") as client:
            client.send("one\n")
            client.wait_for_line("ONE")
            with lab.client.cable_pulled():
                pass
            client.send("two\n")
            client.wait_for_line("TWO", timeout=20)


def test_what_runs_as_root_accepts_its_own_arguments_only(lab):
    for command in ("cable", "cable cut", "cable plug plug", "agent x", "boot x"):
        assert not lab.client.run(f"sudo -n /usr/lib/socketlab/{command} </dev/null").ok


def test_a_full_disk_refuses_writes_and_has_room_again(lab, seen):
    with lab.server.disk_full() as path:
        result = lab.server.run(f"echo hello >{path}/file")
        assert "No space left" in result.stderr
    assert lab.server.run(f"echo hello >{path}/file && rm {path}/file").ok
    assert faults(seen) == edges("disk full", "disk has room again")


def test_a_disk_with_little_room_accepts_that_much(lab):
    with lab.server.disk_full(free=64 << 10) as path:
        assert not lab.server.run(f"head -c 128K /dev/zero >{path}/file").ok
        size = int(lab.server.run(f"stat -c %s {path}/file; rm {path}/file").stdout)
    assert size == 64 << 10


def test_more_room_than_the_disk_has_is_refused_and_healed(lab):
    with pytest.raises(EnvironmentFailure), lab.server.disk_full(free=1 << 30):
        pytest.fail("it can't be")
    assert lab.server.run("test ! -e /mnt/small/.full").ok


def test_a_host_without_power_comes_back(lab, seen):
    with lab.server.without_power():
        with pytest.raises(EnvironmentFailure, match=r"^win10 is without power; power_on\(\) starts it$"):
            lab.server.run("true")
        assert not reaches(lab)
    assert lab.server.run("true").ok
    assert reaches(lab)
    assert faults(seen) == edges("power cut", "power on")


def test_no_peer_is_notified_of_a_power_cut(lab):
    """The kernel would close the connections of the processes that are killed, if it still had a link."""
    with lab.server.start("lab-echo serve --mode upper --port 8079"):
        with lab.client.start("nc -4 server 8079", announce="") as client:
            client.send("one\n")
            client.wait_for_line("ONE")
            with lab.server.without_power():
                assert len(lab.client.run("ss -Htn state established dport = :8079").lines) == 1


def test_no_process_survives_a_reboot(lab):
    begun = "cut -d' ' -f22 /proc/1/stat"
    before = lab.client.run(begun).stdout
    lab.client.reboot()
    assert lab.client.run(begun).stdout != before
    assert reaches(lab, 6)


def stop(end):
    if end is KeyboardInterrupt:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)  # it comes before this is over
    raise end


@pytest.mark.parametrize("fault", ["cable_pulled", "disk_full", "paused", "without_power"])
@pytest.mark.parametrize("end", [ZeroDivisionError, KeyboardInterrupt])
def test_every_fault_is_healed_also_on_an_error_and_on_ctrl_c(lab, fault, end):
    with pytest.raises(end), getattr(lab.server, fault)():
        stop(end)
    assert lab.server.run("test ! -e /mnt/small/.full").ok
    assert reaches(lab)


def test_faults_left_by_a_killed_run_are_healed(lab_topology, lab, seen):
    lab.server.ask("sudo -n /usr/lib/socketlab/cable unplug")
    lab.server.ask("touch /mnt/small/.full")
    lab.client._power.pause()
    with from_engine(lab_topology.project, seen.append) as again:
        again.restore()
        assert reaches(again)
        assert again.server.run("test ! -e /mnt/small/.full").ok
    assert any(event.kind == "note" and event.node == "kali" for event in seen)
