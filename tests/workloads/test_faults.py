"""Faults of hosts with a user's container: they hit both containers, and the timeline names it."""

import pytest

from lab.errors import EnvironmentFailure
from lab.evidence.event_text import render

pytestmark = [pytest.mark.lab, pytest.mark.xdist_group("workloads")]

PING = "echo PING | nc -N -w 1 cache 6379"


def works(servers):
    return servers.alice.run(PING, timeout=10).stdout == "+PONG\r\n"


def faults(seen):
    return [render(event) for event in seen if event.kind == "fault"]


def test_a_power_cut_ends_both_containers_and_power_on_starts_both(servers, seen):
    with servers.cache.without_power():
        assert not works(servers)
        assert not servers.cache.workload.state().running
        with pytest.raises(EnvironmentFailure):
            servers.cache.exec(["true"])
    assert works(servers)
    assert faults(seen) == [
        "power cut, with its container cache-workload",
        "power on, with its container cache-workload",
    ]


def test_no_peer_is_notified_of_a_power_cut(servers):
    """Neither of ours nor of theirs: the kernel closes the connections of a process that is killed."""
    with servers.alice.start("nc cache 6379", announce="") as client:
        client.send("PING\n")
        client.wait_for_line("PONG")
        with servers.cache.without_power():
            sockets = servers.alice.run("ss -Htn state established dst cache:6379").lines
        assert len(sockets) == 1


def test_a_paused_host_answers_nothing_until_it_is_resumed(servers, seen):
    with servers.cache.paused():
        assert servers.cache.workload.state().status == "paused"
        assert not works(servers)
    assert works(servers)
    assert faults(seen)[0] == "paused, with its container cache-workload"


def test_an_unplugged_cable_cuts_the_container_off(servers):
    with servers.cache.cable_pulled():
        assert not works(servers)
        assert servers.cache.exec(["redis-cli", "ping"]).stdout == "PONG\n"
    assert works(servers)


def test_the_small_disk_is_shared_and_full_for_the_container_too(servers, seen):
    with servers.cache.disk_full() as path:
        refused = servers.cache.exec(["cp", "/etc/passwd", path])
        assert "No space left on device" in refused.stderr
    assert servers.cache.exec(f"cp /etc/passwd {path} && rm {path}/passwd").ok
    assert faults(seen)[0] == "disk full, with its container cache-workload"


def test_faults_left_behind_are_healed_in_both_containers(servers):
    servers.cache._power.pause()
    assert servers.cache._power.restore()
    assert works(servers)
    servers.cache._power.off()
    assert servers.cache._power.restore()
    assert works(servers)
    assert not servers.cache._power.restore()


def test_a_container_left_off_by_an_interrupted_start_is_started(servers):
    servers.cache._power.off()
    servers.cache._power._node.start()
    assert servers.cache._power.restore()
    assert works(servers)
