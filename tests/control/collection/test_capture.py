"""Captures on a real lab: ready before the traffic, complete after it, bounded; omissions are reported."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from lab.control.collection.capture import PER_FRAME, CaptureBuffer
from lab.control.collection.capture_stream import SNAPLEN, CaptureStream, command
from lab.control.collection.recording import Options
from lab.control.lab import Lab, ignore
from lab.control.process import MAX_ERRORS
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure, UsageError
from lab.evidence.packets import pcap
from lab.evidence.packets.pcap import Frame
from lab.evidence.packets.traffic import load

needs_lab = pytest.mark.lab
UDP = "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"


def frames(count, size=100):
    return [Frame(float(n), size, bytes(size)) for n in range(count)]


def test_a_short_capture_is_kept_whole():
    kept = CaptureBuffer(10_000)
    for frame in frames(20):
        kept.add(frame)
    assert (kept.frames(), kept.cut, kept.settled) == (frames(20), 0, 20)


def test_a_long_capture_keeps_its_start_and_end_within_the_limit():
    kept = CaptureBuffer(20 * (100 + PER_FRAME))
    for frame in frames(1_000):
        kept.add(frame)
    times = [frame.at for frame in kept.frames()]
    assert times == [*range(10), *range(990, 1_000)]
    assert (kept.cut, kept.settled) == (980, 10)


def test_a_frame_larger_than_the_limit_is_cut_and_counted():
    kept = CaptureBuffer(1_000)
    kept.add(Frame(0.0, 5_000, bytes(5_000)))
    assert (kept.frames(), kept.cut) == ([], 1)


def test_a_filter_can_t_inject_a_command():
    assert command("1.2.3.4", 256, "tcp; reboot").endswith("-- 'tcp; reboot'")


@contextmanager
def collected(lab, tmp_path, **options):
    (tmp_path / "events.jsonl").touch()
    with lab.recording(tmp_path, options=Options(**options)) as recording:
        yield recording


def knock(lab, port=7093):
    """Sends one datagram to the server, without starting a program that would take longer than that."""
    lab.client.ask(f"echo -n knock >/dev/udp/{lab.server.address}/{port}")


@needs_lab
def test_every_packet_of_a_burst_is_available_at_once(shared_lab, tmp_path):
    """The packets are read as soon as the sender exits, when tcpdump may still hold the last one."""
    with collected(shared_lab, tmp_path) as collector:
        for count in (1, 500, 37):
            before = len(collector.packets().seen("servers", dport=7099))
            send = f"for n in range({count}): s.sendto(b'%d' % n, ({shared_lab.server.address!r}, 7099))"
            shared_lab.client.run(["python3", "-c", UDP + send], check=True)
            traffic = collector.packets()
            assert len(traffic.seen("servers", dport=7099)) - before == count
            assert len(traffic.seen("clients", dport=7099)) - before == count
    assert len(collector.traffic.datagrams(7099)) == 538
    assert not any(datagram.lost for datagram in collector.traffic.datagrams(7099))
    assert collector.traffic.complete


@needs_lab
def test_segments_are_found_by_address_and_mgmt_is_on_neither(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path) as collector:
        shared_lab.client.run("true", check=True)  # SSH, which passes over mgmt
        ping = f"ping -c 1 -W 2 {shared_lab.server.address}"
        assert shared_lab.client.run(ping).ok
        traffic = collector.packets()
    for name, address in zip(shared_lab.router.node.segments, shared_lab.router.node.addresses, strict=True):
        assert address in traffic.captures[name].router
        assert [p.label for p in traffic.seen(name, protocol="icmp")] == [
            "ICMP echo request",
            "ICMP echo reply",
        ]
        assert not traffic.seen(name, dport=22)
        assert not traffic.seen(name, sport=22)


@needs_lab
def test_the_files_have_the_same_packets(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path) as collector:
        shared_lab.client.run(
            ["python3", "-c", UDP + f"s.sendto(b'x', ({shared_lab.server.address!r}, 7098))"], check=True
        )
    nodes = {
        h.title: {"addresses": h.node.addresses, "addresses6": h.node.addresses6} for h in shared_lab.hosts
    }
    (tmp_path / "record.json").write_text(json.dumps(collector.to_dict() | {"nodes": nodes}))
    again = load(tmp_path)
    assert [d.to_dict() for d in again.datagrams()] == [d.to_dict() for d in collector.traffic.datagrams()]
    assert {path.name for path in tmp_path.glob("*.pcapng")} == {"clients.pcapng", "servers.pcapng"}


@needs_lab
def test_packets_are_cut_at_snaplen_and_keep_their_length(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path, snaplen=128) as collector:
        send = f"s.sendto(b'x' * 1400, ({shared_lab.server.address!r}, 7097))"
        shared_lab.client.run(["python3", "-c", UDP + send], check=True)
        (packet,) = collector.packets().seen("servers", dport=7097)
    assert packet.length == 1400
    assert len(packet.payload) == 128 - 14 - 20 - 8
    assert max(len(frame.data) for frame in pcap.read(tmp_path / "servers.pcapng")) == 128


@needs_lab
def test_packets_omitted_from_a_long_capture_are_reported(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path, limit=20_000) as collector:
        send = f"for n in range(2000): s.sendto(b'%d' % n, ({shared_lab.server.address!r}, 7096))"
        shared_lab.client.run(["python3", "-c", UDP + send], check=True)
    about = collector.traffic.captures["clients"]
    assert about.cut > 1_500
    assert not collector.traffic.complete
    payloads = [packet.payload for packet in collector.traffic.seen("clients", dport=7096)]
    assert payloads[0] == b"0"
    assert payloads[-1] == b"1999"
    assert len(list(pcap.read(tmp_path / "clients.pcapng"))) == about.packets


@needs_lab
def test_a_host_is_captured_on_request(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path) as collector:
        with collector.capture(shared_lab.server, "udp port 7095"):
            send = f"for port in (7095, 7094): s.sendto(b'x', ({shared_lab.server.address!r}, port))"
            shared_lab.client.run(["python3", "-c", UDP + send], check=True)
    assert len(list(pcap.read(tmp_path / "win10.pcapng"))) == 1
    assert [about["name"] for about in collector.to_dict()["captures"]] == ["clients", "servers", "win10"]


@needs_lab
def test_an_impossible_capture_is_refused_in_one_line(shared_lab):
    for address, expression, why in (
        ("203.0.113.1", "", "no interface has"),
        (shared_lab.router.address, "tcp prt", "filter"),
    ):
        stream = CaptureStream(shared_lab.router, address, expression=expression)
        with pytest.raises(EnvironmentFailure, match=why):
            stream.wait_until_listening()


@needs_lab
def test_a_capture_whose_program_dies_is_reported(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path) as collector:
        process = collector.segments[0]._stream._process
        process.signal("KILL")
        process.finish()
    assert collector.segments[0].about.ended
    assert not collector.traffic.complete
    assert collector.segments[1].about.ended == ""
    with collected(shared_lab, tmp_path) as collector:
        knock(shared_lab)
    assert [datagram.fate for datagram in collector.traffic.datagrams(7093)] == ["crossed"]
    assert collector.traffic.complete


def captures_on(lab):
    return {host.title: host.ask("pgrep -x tcpdump").lines for host in lab.hosts}


@needs_lab
def test_nothing_is_left_running_on_the_hosts(shared_lab, lab_topology, tmp_path):
    before = captures_on(shared_lab)
    with from_engine(lab_topology.project) as lab:
        for _ in range(2):
            with collected(lab, tmp_path):
                pass
            assert len(captures_on(shared_lab)["router"]) == len(before["router"]) + 2
    assert captures_on(shared_lab) == before


@needs_lab
def test_a_recording_has_no_packet_of_an_earlier_or_later_one(shared_lab, tmp_path):
    """Each is recorded at once after the last packet of the one before, and no tcpdump is started for it."""
    recordings, running = [], []
    for number in range(5):
        knock(shared_lab, 7101)
        with collected(shared_lab, tmp_path) as recording:
            for _ in range(number):
                knock(shared_lab, 7102)
            running.append(captures_on(shared_lab))
        recordings.append(recording)
        knock(shared_lab, 7103)
    assert [len(r.traffic.datagrams(7102)) for r in recordings] == [0, 1, 2, 3, 4]
    assert [r.traffic.complete for r in recordings] == [True] * 5
    for recording in recordings:
        assert recording.traffic.datagrams(7101) == recording.traffic.datagrams(7103) == []
    assert running == [running[0]] * 5
    assert len(list(pcap.read(tmp_path / "servers.pcapng"))) == recordings[-1].segments[1].about.packets


@needs_lab
def test_another_snap_length_starts_new_captures_and_another_limit_does_not(shared_lab, tmp_path):
    seen = []
    for options in ({}, {"limit": 1 << 20}, {"snaplen": 100}, {}):
        with collected(shared_lab, tmp_path, **options) as recording:
            seen.append(captures_on(shared_lab)["router"])
        assert {capture.about.snaplen for capture in recording.segments} == {options.get("snaplen", SNAPLEN)}
    assert seen[0] == seen[1]
    assert not set(seen[1]) & set(seen[2])
    assert not set(seen[2]) & set(seen[3])


@needs_lab
def test_a_capture_answers_after_many_requests(shared_lab, tmp_path):
    """Its answers fill the bytes that are kept of a helper's stderr several times."""
    with collected(shared_lab, tmp_path) as recording:
        for _ in range(2 * MAX_ERRORS // len("8 packets captured, 8 packets received by filter")):
            recording.segments[0].flush()
        knock(shared_lab)
    assert len(recording.traffic.datagrams(7093)) == 1


@needs_lab
def test_captures_continue_after_a_power_cut_between_recordings(shared_lab, tmp_path):
    with collected(shared_lab, tmp_path):
        pass
    shared_lab.router.power_off()
    shared_lab.router.power_on()
    with collected(shared_lab, tmp_path) as recording:
        knock(shared_lab)
    assert [datagram.fate for datagram in recording.traffic.datagrams(7093)] == ["crossed"]
    assert recording.traffic.complete


def live(topology, *words):
    argv = [sys.executable, "-m", "lab", "capture", "-p", topology.project, *words]
    return subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | {"NO_COLOR": "1"}
    )


@needs_lab
def test_lab_capture_shows_packets_as_they_pass_until_ctrl_c(shared_lab, lab_topology):
    with live(lab_topology, "client", "udp", "port", "7093") as child:
        assert b"capturing on kali" in child.stderr.readline()
        knock(shared_lab)
        assert b"7093: UDP, length 5" in child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=20)
    assert (child.returncode, said.decode().splitlines()) == (0, ["1 packet"])


@needs_lab
def test_lab_capture_writes_a_file_that_wireshark_reads(shared_lab, lab_topology, tmp_path):
    file = tmp_path / "a.pcapng"
    with live(
        lab_topology, "router", "--segment", "servers", "-c", "1", "-w", str(file), "udp port 7093"
    ) as child:
        child.stderr.readline()
        knock(shared_lab)
        child.communicate(timeout=20)
    assert child.returncode == 0
    (frame,) = pcap.read(file)
    assert frame.data.endswith(b"knock")
    assert abs(frame.at - time.time()) < 60


@needs_lab
@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["client", "tcp prt 5"], 2, b"no filter"),
        (["client", "--segment", "servers"], 2, b"isn't on a segment 'servers'"),
        (["nobody"], 2, b"no node 'nobody'"),
        (["client", "-w", "/nowhere/a.pcapng"], 2, b"/nowhere/a.pcapng: No such file"),
    ],
)
def test_lab_capture_refuses_in_one_line(lab_topology, words, code, said):
    with live(lab_topology, *words) as child:
        _, errors = child.communicate(timeout=30)
    assert (child.returncode, len(errors.splitlines())) == (code, 1)
    assert said in errors


@needs_lab
def test_a_capture_that_fails_leaves_no_file(lab_topology, tmp_path):
    with live(lab_topology, "client", "-w", str(tmp_path / "a.pcapng"), "tcp prt 5") as child:
        child.communicate(timeout=30)
    assert list(tmp_path.iterdir()) == []


def test_packets_are_seen_only_while_something_is_played():
    with pytest.raises(UsageError, match="while a scenario is played"):
        Lab([], ignore, "empty").packets()
