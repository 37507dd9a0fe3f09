"""Forged folders of runs: packets byte by byte, on a clock that starts at 0."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dpkt

from lab.evidence.endpoint import Endpoint
from lab.evidence.event_json import to_json
from lab.evidence.events import (
    Event,
    FaultChanged,
    LinkChanged,
    Note,
    Output,
    ProgramExited,
    ProgramStarted,
    SocketChanged,
    VerdictGiven,
)
from lab.evidence.packets import pcap
from lab.evidence.packets.pcap import Frame
from lab.link.settings import LinkSettings

STARTED = 1_795_000_000.0
KALI, WIN10 = "192.168.40.129", "172.28.66.163"
ROUTER = {"clients": "192.168.40.2", "servers": "172.28.66.2"}
MACS = {KALI: b"\x02\x42\xc0\xa8\x28\x81", WIN10: b"\x02\x42\xac\x1c\x42\xa3"}
ROUTER_MAC = b"\x02\x42\x00\x00\x00\x02"
FLAGS = {"S": 2, "A": 16, "F": 1, "R": 4, "P": 8}

NODES = {
    "kali": {"names": ["client", "kali"], "addresses": [KALI], "addresses6": ["fd28:40::129"]},
    "router": {"names": ["router"], "addresses": list(ROUTER.values()), "addresses6": []},
    "win10": {"names": ["server", "win10"], "addresses": [WIN10], "addresses6": ["fd28:66::163"]},
}
CAPTURES = [
    {
        "name": "clients",
        "file": "clients.pcapng",
        "networks": ["192.168.40.0/24"],
        "router": [ROUTER["clients"]],
    },
    {
        "name": "servers",
        "file": "servers.pcapng",
        "networks": ["172.28.66.0/24"],
        "router": [ROUTER["servers"]],
    },
]
LOSSY = {"to-servers": {"delay": 0.02, "loss": 0.2}, "to-clients": {"delay": 0.02}}


def measure(what: str, asked: float, measured: float) -> dict[str, Any]:
    """A check of the link as in the record."""
    ends = {"low": measured * 0.98, "high": measured * 1.02}
    return {"what": what, "asked": asked, "measured": measured, "ok": True, "note": "", **ends}


@dataclass
class Run:
    """A forged run: packets and events are collected until ``save`` writes the folder."""

    folder: Path
    record: dict[str, Any] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    frames: dict[str, list[Frame]] = field(default_factory=lambda: {"clients": [], "servers": []})
    snaplen: int = 65_535
    _ident: int = 0

    def add(self, kind: Callable[..., Event], at: float, node: str, *fields: Any) -> None:
        """An event of one kind; ``at`` counts from the start."""
        self.events.append(kind(STARTED + at, node, *fields))

    def print(self, at: float, node: str, line: str, program: int, stream: Any = "stdout") -> None:
        self.add(Output, at, node, program, stream, line)

    def socket(
        self,
        at: float,
        node: str,
        number: int,
        state: str,
        local: str,
        remote: str,
        was: str = "",
        command: str = "python3",
    ) -> None:
        ends = Endpoint.parse(local), Endpoint.parse(remote)
        self.add(SocketChanged, at, node, number, "tcp", 4, *ends, state, was, 0, 0, 41, command)

    def tcp(
        self,
        at: float,
        ends: tuple[int, int],
        flags: str,
        seq: int,
        ack: int = 0,
        data: bytes = b"",
        *,
        back: bool = False,
        delay: float | None = 0.00003,
    ) -> None:
        """One TCP packet from kali to win10 (``back``: the other way); a ``delay`` of None loses it."""
        sport, dport = ends[::-1] if back else ends
        segment = dpkt.tcp.TCP(
            sport=sport,
            dport=dport,
            seq=seq,
            ack=ack,
            flags=sum(FLAGS[f] for f in flags),
            win=64240,
            data=data,
        )
        if "S" in flags:
            segment.opts = bytes.fromhex("020405b40402080a0000000100000000" + "01030307")
        segment.off = 5 + len(segment.opts) // 4
        self.ip(at, segment, dpkt.ip.IP_PROTO_TCP, back=back, delay=delay)

    def udp(
        self,
        at: float,
        ends: tuple[int, int],
        data: bytes,
        *,
        back: bool = False,
        delay: float | None = 0.00003,
    ) -> None:
        sport, dport = ends[::-1] if back else ends
        datagram = dpkt.udp.UDP(sport=sport, dport=dport, data=data)
        datagram.ulen = 8 + len(data)
        self.ip(at, datagram, dpkt.ip.IP_PROTO_UDP, back=back, delay=delay)

    def ip(self, at: float, layer: Any, protocol: int, *, back: bool = False, delay: float | None) -> None:
        self._ident += 1
        source, target = (WIN10, KALI) if back else (KALI, WIN10)
        path = ["servers", "clients"] if back else ["clients", "servers"]
        for hop, segment in enumerate(path):
            if hop and delay is None:
                return
            packet = dpkt.ip.IP(
                src=_raw(source),
                dst=_raw(target),
                p=protocol,
                ttl=64 - hop,
                id=self._ident & 0xFFFF,
                data=layer,
            )
            packet.len = len(packet)
            src, dst = (ROUTER_MAC, MACS[target]) if hop else (MACS[source], ROUTER_MAC)
            frame = bytes(dpkt.ethernet.Ethernet(src=src, dst=dst, data=packet))
            self.seen(segment, at + (delay or 0) * hop, frame)

    def seen(self, segment: str, at: float, frame: bytes) -> None:
        self.frames[segment].append(Frame(STARTED + at, len(frame), frame[: self.snaplen]))

    def save(self) -> Path:
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, frames in self.frames.items():
            in_order = sorted(frames, key=lambda frame: frame.at)
            pcap.write(self.folder / f"{name}.pcapng", name, in_order)
        write_events(self.folder, self.events)
        about = {
            "scenario": "tcp-hello", "title": "Hello: a client says its text, the server answers.",
            "verdict": "pass", "reason": "", "seed": 2815246656, "started": STARTED, "seconds": 1.2,
            "nodes": NODES, "versions": {"python": "3.11.7", "kernel": "6.18.44"}, "record": {},
            "captures": CAPTURES,
        }  # fmt: skip
        (self.folder / "record.json").write_text(json.dumps(about | self.record))
        return self.folder


def write_events(folder: Path, events: Iterable[Event]) -> None:
    lines = [json.dumps(to_json(event)) for event in sorted(events, key=lambda event: event.at)]
    (folder / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))


def _raw(address: str) -> bytes:
    return bytes(int(part) for part in address.split("."))


def hello(folder: Path) -> Run:
    """tcp-hello without any fault."""
    run, ends = Run(folder), (43012, 8001)
    local, remote, listening = f"{KALI}:43012", f"{WIN10}:8001", "*:8001"
    run.add(ProgramStarted, 0.11, "win10", 1, "lab-echo serve --mode hello --port 8001")
    run.socket(0.302, "win10", 1, "LISTEN", listening, "*:*")
    run.print(0.304, "win10", "listening on 0.0.0.0:8001", 1)
    run.add(Note, 0.310, "lab", "the server waits in accept")
    run.add(ProgramStarted, 0.42, "kali", 2, "lab-echo hello --host win10 --port 8001")
    run.tcp(0.51000, ends, "S", 1000)
    run.socket(0.5101, "kali", 2, "SYN_SENT", local, remote)
    run.tcp(0.51011, ends, "SA", 9000, 1001, back=True)
    run.tcp(0.51024, ends, "A", 1001, 9001)
    run.socket(0.5104, "kali", 2, "ESTABLISHED", local, remote, "SYN_SENT")
    run.socket(0.5104, "win10", 3, "ESTABLISHED", remote, local)
    run.tcp(0.5108, ends, "PA", 1001, 9001, "我是客户端".encode())
    run.tcp(0.51087, ends, "A", 9001, 1016, back=True)
    run.print(0.5113, "win10", f"{KALI}:43012 says: 我是客户端", 1)
    run.tcp(0.5115, ends, "PA", 9001, 1016, "我是服务端".encode(), back=True)
    run.tcp(0.51156, ends, "A", 1016, 9016)
    run.tcp(0.51158, ends, "FA", 9016, 1016, back=True)
    run.socket(0.5118, "win10", 3, "FIN_WAIT2", remote, local, "ESTABLISHED")
    run.print(0.5121, "kali", "我是服务端", 2)
    run.tcp(0.5123, ends, "FA", 1016, 9017)
    run.tcp(0.51236, ends, "A", 9017, 1017, back=True)
    run.socket(0.5126, "kali", 2, "", local, remote, "ESTABLISHED")
    run.socket(0.5126, "win10", 3, "TIME_WAIT", remote, local, "FIN_WAIT2")
    run.add(ProgramExited, 0.53, "kali", 2, 0)
    run.add(ProgramExited, 0.75, "win10", 1, 0)
    run.socket(0.752, "win10", 1, "", listening, "*:*", "LISTEN")
    run.add(VerdictGiven, 0.76, "lab", "pass")
    return run


def lossy(folder: Path, seed: int = 7) -> Run:
    """A transfer over a link with loss and delay to a server that is paused for a while; the check fails."""
    run, ends, chance = Run(folder), (51514, 11111), random.Random(seed)
    run.add(LinkChanged, 0.05, "router", LinkSettings.from_json(LOSSY))
    run.add(ProgramStarted, 0.1, "win10", 1, "lab-transfer serve --port 11111")
    run.print(0.2, "win10", "listening on 0.0.0.0:11111", 1)
    run.add(ProgramStarted, 0.3, "kali", 2, "lab-transfer put notes.txt win10:11111")
    at, seq = 0.4, 5001
    for number, wait in enumerate((0.0, 1.02, 2.05)):
        run.tcp(at + wait, ends, "S", 5000, delay=None if number < 2 else 0.0201)
    at += 2.05
    run.tcp(at + 0.0203, ends, "SA", 70000, 5001, back=True, delay=0.0199)
    run.tcp(at + 0.0405, ends, "A", 5001, 70001, delay=0.02)
    for number in range(24):
        at += 0.05
        data = f"line {number}: what is lost is sent again\n".encode()
        lost = chance.random() < 0.2
        run.tcp(at, ends, "PA", seq, 70001, data, delay=None if lost else 0.02 + chance.random() / 200)
        if lost:
            run.tcp(at + 0.22, ends, "PA", seq, 70001, data, delay=0.021)
            at += 0.22
        seq += len(data)
        run.tcp(at + 0.0215, ends, "A", 70001, seq, back=True, delay=0.02)
    run.add(FaultChanged, at, "win10", "paused", "begin")
    run.udp(at + 0.1, (40000, 9090), "在吗?".encode(), delay=0.02)
    run.udp(at + 0.3, (40000, 9090), b"are you there?", delay=None)
    run.add(FaultChanged, at + 1.5, "win10", "paused", "end")
    run.tcp(at + 1.7, ends, "RA", 70001, seq, back=True, delay=0.02)
    run.print(at + 1.75, "kali", "lab-transfer: win10:11111 reset the connection", 2, "stderr")
    run.add(ProgramExited, at + 1.8, "kali", 2, 1)
    reason = "file_resume.py:31: assert record['digest'] == record['sent']: nothing was stored"
    run.add(VerdictGiven, at + 2, "lab", "fail", reason)
    run.record = {
        "scenario": "file-resume", "title": "A put that is cut in the middle goes on where it was.",
        "verdict": "fail", "reason": reason, "seconds": at + 2,
        "diagnosis": {"sentences": ["win10 reset the connection to port 11111 while kali still sent."],
                      "see_also": ["reset-on-close", "half-open"]},
        "impairment": {"backend": "netem", "changes": [
            {"at": STARTED + 0.05, "backend": "netem", "seed": "7/0", "asked": LOSSY, "measured": {
                "to-servers": [measure("loss", 0.2, 0.1934), measure("delay", 0.02, 0.02013)],
                "to-clients": [measure("loss", 0, 0), measure("delay", 0.02, 0.01996)],
            }},
        ]},
    }  # fmt: skip
    return run


def long(folder: Path, packets: int = 20_000, payload: int = 1448) -> Run:
    """Forty connections send at the same time; one packet in a thousand is lost and retransmitted."""
    run, chance = Run(folder, snaplen=256), random.Random(1)
    content = random.Random(2).randbytes(payload)
    sequence = [1] * 40
    at = 0.2
    run.add(ProgramStarted, 0.1, "win10", 1, "lab-transfer serve --port 11111")
    for number in range(packets // 2):
        which = number % 40
        ends = (50000 + which, 11111)
        at += chance.expovariate(4000)
        lost = number % 1000 == 999
        run.tcp(at, ends, "PA", sequence[which], 1, content, delay=None if lost else 0.00004)
        if lost:
            run.tcp(at + 0.0002, ends, "PA", sequence[which], 1, content)
        sequence[which] += payload
        run.tcp(at + 0.0003, ends, "A", 1, sequence[which], back=True)
        if number % 100 == 0:
            run.print(at, "kali", f"{number * payload:,} bytes sent", 2)
    run.record = {"scenario": "file-transfer", "title": "Forty files at once.", "seconds": at + 0.1}
    return run


SAMPLES: Sequence[Any] = (hello, lossy, long)
