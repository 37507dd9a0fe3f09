"""The folder of a run: runs/<scenario>/<UTC time>/ with record.json, events.jsonl and each node's output."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from lab.evidence.event_json import from_json, to_json
from lab.evidence.events import Event, Output


class Recorder:
    """Writes the folder during the run, so that the evidence of a run that crashes is kept."""

    def __init__(self, runs: Path, scenario: str) -> None:
        make_ignored(runs)
        self.folder = _new_folder(runs / scenario)
        (self.folder / "output").mkdir()
        self._runs = runs
        # Line-buffered: the diagnosis reads it during the run.
        self._events = _writer(self.folder / "events.jsonl", buffering=1)
        self._outputs: dict[str, IO[str]] = {}

    def observe(self, event: Event) -> None:
        """Writes one event; a line of output also goes to the output file of its node."""
        self._events.write(json.dumps(to_json(event), ensure_ascii=False) + "\n")
        if isinstance(event, Output):
            self._output(event.node).write(event.line + "\n")

    def finish(self, record: Mapping[str, Any]) -> None:
        """Sorts the events, writes record.json atomically, and makes runs/latest a link to the folder."""
        self.close()
        _sort(self.folder / "events.jsonl")
        temporary = self.folder / "record.json.part"
        with _writer(temporary) as file:
            file.write(json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        temporary.rename(self.folder / "record.json")
        link = self._runs / f".latest.{os.getpid()}"
        with suppress(OSError):  # a file system without symbolic links
            link.unlink(missing_ok=True)
            link.symlink_to(self.folder.relative_to(self._runs))
            link.replace(self._runs / "latest")

    def close(self) -> None:
        self._events.close()
        for file in self._outputs.values():
            file.close()

    def _output(self, node: str) -> IO[str]:
        if node not in self._outputs:
            self._outputs[node] = _writer(self.folder / "output" / f"{node}.txt")
        return self._outputs[node]


def _writer(path: Path, buffering: int = -1) -> IO[str]:
    """A new text file. A lone surrogate is written as its escape sequence, which JSON reads back."""
    return open(path, "w", encoding="utf-8", errors="backslashreplace", buffering=buffering)


def read_events(folder: Path) -> list[Event]:
    """The events of a run in order of time. Raises OSError, ValueError."""
    with open(folder / "events.jsonl", encoding="utf-8") as file:
        events = [from_json(json.loads(line)) for line in file]
    return sorted(events, key=lambda event: event.at)


def _sort(file: Path) -> None:
    """Sorts the lines by time: reports of several hosts arrive late and interleaved."""
    with open(file, encoding="utf-8") as events:
        lines = events.readlines()
    file.write_text("".join(sorted(lines, key=lambda line: json.loads(line)["at"])), encoding="utf-8")


def make_ignored(folder: Path) -> None:
    """Creates a folder for files that don't belong into a repository: Git ignores them.

    A folder that exists is left as it is: it may be the repository itself.
    """
    with suppress(FileExistsError):
        folder.mkdir(parents=True)
        (folder / ".gitignore").write_text("*\n", encoding="ascii")


def _new_folder(parent: Path) -> Path:
    """Creates a new folder, named by the time in UTC."""
    parent.mkdir(parents=True, exist_ok=True)
    while True:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H-%M-%S", time.gmtime(now))
        folder = parent / f"{stamp}.{int(now * 1000) % 1000:03d}Z"
        try:
            folder.mkdir()
        except FileExistsError:  # another run began in the same millisecond
            continue
        return folder
