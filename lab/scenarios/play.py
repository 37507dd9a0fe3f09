"""Plays a scenario: runs it, checks its record, keeps the evidence and determines the verdict."""

from __future__ import annotations

import json
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

from lab.control.collection.recording import Options
from lab.control.lab import Lab, NoSuchNode
from lab.control.observers import EventFanout
from lab.errors import LabError, Unsupported
from lab.evidence.diagnosis.diagnose import Diagnosis, Evidence, diagnose
from lab.evidence.events import Observe, VerdictGiven
from lab.evidence.packets.traffic import Traffic
from lab.evidence.record import Recorder, read_events
from lab.locale import message
from lab.scenarios.catalog import Record, Scenario
from lab.scenarios.drawing import Draw, draw, prepare
from lab.scenarios.requirements import missing_nodes, require

Verdict: TypeAlias = Literal["pass", "fail", "unsupported"]
OpenLab: TypeAlias = Callable[[Observe], AbstractContextManager[Lab]]

PLATFORMS = {
    "linux": "Linux",
    "windows": "Wine: the command line is Wine's cmd; the sockets and everything below them are Linux's",
}
EXIT_CODES: dict[Verdict, int] = {"pass": 0, "fail": 1, "unsupported": 3}


@dataclass
class Outcome:
    """The outcome of a scenario. If it didn't pass, ``reason`` is the error and ``diagnosis`` its cause.

    ``traffic`` holds the packets between the hosts, ``folder`` the files of the run.
    """

    scenario: Scenario
    folder: Path
    verdict: Verdict = "fail"
    reason: str = "interrupted"
    record: Record = field(default_factory=dict)
    seconds: float = 0.0
    traffic: Traffic = field(default_factory=lambda: Traffic([], [], {}))
    diagnosis: Diagnosis = field(default_factory=Diagnosis)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as a JSON object, for record.json."""
        return {
            "verdict": self.verdict,
            "reason": self.reason,
            "seconds": self.seconds,
            "diagnosis": self.diagnosis.to_dict(),
            "record": self.record,
        }

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.verdict]


def play(
    scenario: Scenario,
    open_lab: OpenLab,
    observe: Observe,
    runs: Path,
    *,
    seed: int | None = None,
    capture: Options | None = None,
    draw: Draw = draw,
) -> Outcome:
    """Plays ``scenario`` on the lab that ``open_lab`` opens. ``observe`` is called with each event.

    To play on a lab that is already open, pass its ``observed_by``. ``draw`` draws the page of the run.

    An exception raised by the scenario becomes a verdict. Raises only KeyboardInterrupt, and LabError if the
    lab can't be reached. The record is always written.
    """
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    recorder = Recorder(runs, scenario.name)
    fanout = EventFanout(recorder.observe, observe)
    outcome = Outcome(scenario, recorder.folder)
    about: dict[str, Any] = {"scenario": scenario.name, "title": scenario.title, "seed": seed}
    started = time.time()
    try:
        with open_lab(fanout) as lab, lab.claimed():
            about["nodes"] = {host.title: _addresses(host.node) for host in lab.hosts}
            _play_on(lab, outcome, seed, capture, about)
        if outcome.verdict == "fail":
            evidence = Evidence(read_events(recorder.folder), outcome.traffic, outcome.reason)
            outcome.diagnosis = diagnose(evidence)
        for event in outcome.traffic.events():
            recorder.observe(event)
        fanout(VerdictGiven(time.time(), "lab", outcome.verdict, outcome.reason))
    except LabError as error:
        outcome.verdict, outcome.reason = "fail", str(error)
        raise
    finally:
        outcome.seconds = round(time.time() - started, 3)
        recorder.finish(about | {"started": started, "versions": _versions()} | outcome.to_dict())
        draw(recorder.folder, outcome.traffic, observe)
    return outcome


def _play_on(lab: Lab, outcome: Outcome, seed: int, capture: Options | None, about: dict[str, Any]) -> None:
    """Plays the scenario on a restored lab and collects evidence; adds the link and captures to ``about``."""
    lab.random = random.Random(seed)
    lab.restore()
    lab.connect()
    lab.link.begin(str(seed))
    with lab.recording(outcome.folder, options=capture) as recording:
        try:
            _judge(outcome, lab)
            recording.settle()  # an impaired link that is cleared lets delayed packets through at once
        finally:
            lab.link.end()
            about["impairment"] = lab.link.to_dict()
    if outcome.verdict == "pass" and lab.link.failure:
        outcome.verdict, outcome.reason = "fail", lab.link.failure
    outcome.traffic = recording.traffic
    about |= recording.to_dict()


def _judge(outcome: Outcome, lab: Lab) -> None:
    """Runs and checks the scenario. A record that isn't JSON-serializable is a failure."""
    verdict: Verdict = "fail"
    reason = ""
    # While the programs run on the nodes.
    threading.Thread(target=prepare, daemon=True, name="prepare trace.html").start()
    try:
        require(outcome.scenario, lab)
        record = outcome.scenario.run(lab)
        json.dumps(record, allow_nan=False)
        outcome.record = record
        outcome.scenario.check(record)
        verdict = "pass"
    except Unsupported as error:
        verdict, reason = "unsupported", str(error)
    except NoSuchNode as error:
        verdict, reason = _without_node(outcome.scenario, lab, error)
    except AssertionError as error:
        reason = _failed_assertion(error)
    except LabError as error:
        reason = str(error)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        reason = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}: {error}"
    outcome.verdict, outcome.reason = verdict, reason


def _without_node(scenario: Scenario, lab: Lab, error: NoSuchNode) -> tuple[Verdict, str]:
    """Unsupported if the scenario's topology has the node; otherwise the scenario has a mistake."""
    if error.name not in missing_nodes(scenario, lab):
        return "fail", str(error)
    hint = message(
        "{error}; `lab run -f default {scenario}` plays it on the default lab",
        error=error,
        scenario=scenario.name,
    )
    return "unsupported", str(hint)


def _failed_assertion(error: AssertionError) -> str:
    """The source line of the assertion, and its message."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    message = f": {error}" if str(error) else ""
    return f"{Path(place.filename).name}:{place.lineno}: {place.line}{message}"


def _addresses(node: Any) -> dict[str, Any]:
    return {
        "names": node.names,
        "addresses": node.addresses,
        "addresses6": node.addresses6,
        "platform": PLATFORMS.get(node.platform, node.platform),
    }


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "paramiko": metadata.version("paramiko"),
        "kernel": platform.release(),
        "platform": sys.platform,
    }
