"""One test on a lab: the lab is reset and recorded, and the evidence is kept if the test fails."""

from __future__ import annotations

import platform
import random
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.control.collection.recording import Recording
from lab.control.lab import Lab
from lab.errors import LabError
from lab.evidence import trace
from lab.evidence.diagnosis.diagnose import Diagnosis, Evidence, diagnose
from lab.evidence.events import VerdictGiven
from lab.evidence.record import Recorder, make_ignored, read_events
from lab.locale import message
from lab.testing.expectations import current
from lab.testing.markers import link_settings, needs
from lab.testing.markers.marks import Marks

NO_RECORDING = message("the test has no evidence: its lab wasn't ready")


@dataclass
class LabTest:
    """A test on a lab, from its set-up to the report of its tear-down.

    ``temporary`` is a folder for the evidence while the test runs, ``artifacts`` the folder to keep it in.
    """

    name: str  # the test's node id
    marks: Marks
    seed: int
    temporary: Path
    artifacts: Path
    lab: Lab | None = None  # while the test runs
    failure: str = ""  # the error message of the test
    diagnosis: Diagnosis = field(default_factory=Diagnosis)
    _recorder: Recorder | None = None
    _recording: Recording | None = None
    _about: dict[str, Any] = field(default_factory=dict)
    _began: float = 0.0

    @contextmanager
    def on(self, lab: Lab) -> Iterator[Lab]:
        """Prepares the lab for the test, and records it while the context lasts. Raises LabError."""
        lab.reset()
        with lab.claimed():  # again, if the reset has replaced a router
            yield from self._recorded(lab)

    def _recorded(self, lab: Lab) -> Iterator[Lab]:
        lab.random = random.Random(self.seed)
        lab.link.begin(str(self.seed))
        self._began = time.time()
        self._recorder = recorder = Recorder(self.temporary, "test")
        try:
            with lab.recording(recorder.folder, observe=recorder.observe) as self._recording:
                self.lab = lab
                with current.in_test(lab):
                    yield from self._linked(lab)
        finally:
            self.lab = None
        if lab.link.failure:
            raise LabError(f"link: {lab.link.failure}")

    def _linked(self, lab: Lab) -> Iterator[Lab]:
        try:
            needs.require(lab, self.marks.needs)
            link_settings.apply(lab, self.marks.link)
            yield lab
        finally:
            lab.link.end()
            self._about["impairment"] = lab.link.to_dict()
            self._about["nodes"] = {host.title: _about(host.node) for host in lab.hosts}

    def evidence(self) -> Evidence:
        """The evidence so far. Raises LabError if there is none."""
        if self._recording is None or self._recorder is None:
            raise LabError(NO_RECORDING)
        if self.lab is not None:
            found = self._recording.evidence()
        else:
            found = Evidence(read_events(self._recorder.folder), self._recording.traffic)
        found.reason = self.failure
        return found

    def diagnose(self) -> Diagnosis:
        """The diagnosis of the test's failure. Raises LabError if the nodes don't answer."""
        self.diagnosis = diagnose(self.evidence())
        return self.diagnosis

    def keep(self) -> Path:
        """Writes the record and trace.html, and moves the evidence to ``artifacts``. Raises OSError."""
        recorder, recording = self._recorder, self._recording
        if recorder is None or recording is None:
            raise FileNotFoundError(str(NO_RECORDING))
        for event in recording.traffic.events():
            recorder.observe(event)
        recorder.observe(VerdictGiven(time.time(), "lab", "fail" if self.failure else "pass", self.failure))
        recorder.finish(self._record() | recording.to_dict())
        trace.write(recorder.folder, recording.traffic)
        make_ignored(self.artifacts.parent)
        shutil.move(recorder.folder, self.artifacts)
        return self.artifacts

    def discard(self) -> None:
        """Removes the evidence."""
        if self._recorder is not None:
            self._recorder.close()
            shutil.rmtree(self._recorder.folder, ignore_errors=True)

    def _record(self) -> dict[str, Any]:
        return {
            "scenario": self.artifacts.name,
            "title": self.name,
            "seed": self.seed,
            "started": self._began,
            "seconds": round(time.time() - self._began, 3),
            "verdict": "fail" if self.failure else "pass",
            "reason": self.failure,
            "diagnosis": self.diagnosis.to_dict(),
            "record": {},
            "versions": {"python": platform.python_version(), "kernel": platform.release()},
            **self._about,
        }


def _about(node: Any) -> dict[str, Any]:
    """A node in record.json, for the heading of trace.html."""
    return {name: getattr(node, name) for name in ("names", "addresses", "addresses6", "platform")}
