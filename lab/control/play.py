"""Plays a scenario: run it, check its record, keep what happened, give the verdict."""

from __future__ import annotations

import platform
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeAlias

from lab.control.errors import LabError, Unsupported
from lab.control.lab import Lab
from lab.control.scenarios import Record, Scenario
from lab.control.witness import Options, watching
from lab.evidence import trace
from lab.evidence.diagnosis import Diagnosis, Evidence, diagnose
from lab.evidence.events import Event, Observe
from lab.evidence.record import Recorder, read_events
from lab.evidence.traffic import Traffic

Verdict: TypeAlias = Literal["pass", "fail", "unsupported"]
OpenLab: TypeAlias = Callable[[Observe], AbstractContextManager[Lab]]

EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "unsupported": 3}


@dataclass
class Outcome:
    """A played scenario. ``reason`` says why it didn't pass, ``diagnosis`` what the evidence says of that;
    ``traffic`` is what passed between the hosts, and ``folder`` holds what the run left.
    """

    scenario: Scenario
    verdict: Verdict
    reason: str
    record: Record
    seconds: float
    folder: Path
    traffic: Traffic
    diagnosis: Diagnosis

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


@dataclass
class _Watch:
    """Passes each event to all that want it, one at a time: programs on two hosts speak at once."""

    observers: list[Observe]
    lock: threading.Lock = field(default_factory=threading.Lock)

    def observe(self, event: Event) -> None:
        with self.lock:
            for observer in self.observers:
                observer(event)


def play(
    scenario: Scenario,
    open_lab: OpenLab,
    observe: Observe,
    runs: Path,
    *,
    seed: int | None = None,
    capture: Options | None = None,
) -> Outcome:
    """Plays ``scenario`` on the lab that ``open_lab`` gives. ``observe`` sees each event as it happens.

    Whatever the scenario raises is a verdict; only KeyboardInterrupt and a lab that can't be reached
    (LabError) come through. The record is kept in every case.
    """
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    recorder = Recorder(runs, scenario.name)
    watch = _Watch([recorder.observe, observe])
    started = time.time()
    about: dict[str, Any] = {"scenario": scenario.name, "title": scenario.title, "seed": seed}
    record: Record = {}
    verdict: Verdict = "fail"
    reason = "interrupted"
    traffic, diagnosis = Traffic([], [], {}), Diagnosis()
    try:
        with open_lab(watch.observe) as lab:
            lab.random = random.Random(seed)
            lab.restore()
            lab.connect()
            lab.link.begin(str(seed))
            about["nodes"] = {host.title: _addresses(host.node) for host in lab.hosts}
            with watching(lab.hosts, watch.observe, recorder.folder, capture) as lab.witness:
                try:
                    verdict, reason, record = _judge(scenario, lab)
                finally:
                    lab.link.end()
                    about["impairment"] = lab.link.plain()
            if verdict == "pass" and lab.link.failure:
                verdict, reason = "fail", lab.link.failure
            traffic = lab.witness.traffic
            about |= lab.witness.plain()
        if verdict == "fail":
            diagnosis = diagnose(Evidence(read_events(recorder.folder), traffic, reason))
        for event in traffic.events():
            recorder.observe(event)
        watch.observe(Event(time.time(), "lab", "verdict", f"{verdict}{': ' if reason else ''}{reason}"))
    except LabError as error:
        reason = str(error)
        raise
    finally:
        about |= {"verdict": verdict, "reason": reason, "started": started}
        about |= {"seconds": round(time.time() - started, 3), "versions": _versions(), "record": record}
        about["diagnosis"] = diagnosis.plain()
        recorder.finish(about)
        _draw(recorder.folder, traffic, observe)
    return Outcome(scenario, verdict, reason, record, about["seconds"], recorder.folder, traffic, diagnosis)


def _draw(folder: Path, traffic: Traffic, observe: Observe) -> None:
    """Writes the run's page. The verdict stands whatever comes of that; a failure is told, not raised."""
    try:
        trace.write(folder, traffic)
    except Exception as error:
        why = f"{trace.NAME} could not be written: {type(error).__name__}: {error}"
        observe(Event(time.time(), "lab", "note", why))


def _judge(scenario: Scenario, lab: Lab) -> tuple[Verdict, str, Record]:
    record: Record = {}
    try:
        record = scenario.run(lab)
        scenario.check(record)
    except Unsupported as error:
        return "unsupported", str(error), record
    except AssertionError as error:
        return "fail", _failed_assertion(error), record
    except LabError as error:
        return "fail", str(error), record
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return "fail", f"{type(error).__name__} at {where}: {error}", record
    return "pass", "", record


def _failed_assertion(error: AssertionError) -> str:
    """The assertion as it stands in the scenario, and what it said."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f": {error}" if str(error) else ""
    return f"{Path(place.filename).name}:{place.lineno}: {place.line}{said}"


def _addresses(node: Any) -> dict[str, Any]:
    return {"names": node.names, "addresses": node.addresses, "addresses6": node.addresses6}


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "paramiko": metadata.version("paramiko"),
        "kernel": platform.release(),
        "platform": sys.platform,
    }
