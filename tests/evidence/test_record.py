"""The folder of a run: events in order, output by node, and the link to the latest run."""

import json

import pytest

from lab.evidence.events import Note, Output
from lab.evidence.record import Recorder, make_ignored, read_events

# Characters that end a line for str.splitlines(), but not in a file.
SEPARATORS = "one\u2028two\u2029three\x85four\x0bfive"


@pytest.fixture
def recorder(tmp_path):
    return Recorder(tmp_path, "made-up")


def test_events_are_sorted_by_time(recorder):
    late, early = Note(2.0, "lab", "late"), Note(1.0, "lab", "early")
    recorder.observe(late)
    recorder.observe(early)
    recorder.finish({})
    lines = (recorder.folder / "events.jsonl").read_text().split("\n")
    assert [json.loads(line)["text"] for line in lines if line] == ["early", "late"]
    assert read_events(recorder.folder) == [early, late]


def test_unusual_line_separators_stay_within_their_event(recorder):
    event = Output(1.0, "alice", 1, "stdout", SEPARATORS)
    recorder.observe(event)
    assert read_events(recorder.folder) == [event]
    recorder.finish({})
    assert read_events(recorder.folder) == [event]


def test_text_that_utf_8_cannot_encode_is_kept(recorder):
    """JSON can escape half of a surrogate pair, and a program may print such a message."""
    event = Output(1.0, "alice", 1, "stdout", "half \ud83d", {"event": "x", "line": "half \ud83d"})
    recorder.observe(event)
    recorder.finish({"record": "half \ud83d"})
    assert read_events(recorder.folder) == [event]
    assert json.loads((recorder.folder / "record.json").read_text())["record"] == "half \ud83d"
    assert (recorder.folder / "output" / "alice.txt").read_text() == "half \\ud83d\n"


def test_output_is_written_by_node(recorder):
    for node, line in (("alice", "one"), ("bob", "two"), ("alice", "三")):
        recorder.observe(Output(1.0, node, 1, "stdout", line))
    recorder.observe(Note(1.0, "alice", "no output"))
    recorder.finish({})
    files = {path.name: path.read_text(encoding="utf-8") for path in (recorder.folder / "output").iterdir()}
    assert files == {"alice.txt": "one\n三\n", "bob.txt": "two\n"}


def test_a_finished_run_is_the_latest(recorder, tmp_path):
    assert not (tmp_path / "latest").exists()
    recorder.finish({"verdict": "pass"})
    assert json.loads((tmp_path / "latest" / "record.json").read_text()) == {"verdict": "pass"}
    assert (tmp_path / "latest").resolve() == recorder.folder


@pytest.mark.parametrize("line", ["", "{", "[]", '{"at": 1.0, "node": "lab", "kind": "note"}'])
def test_a_damaged_file_is_refused(recorder, line):
    recorder.close()
    (recorder.folder / "events.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"\S"):
        read_events(recorder.folder)


def test_git_ignores_a_folder_that_is_created_and_an_existing_one_stays_as_it_is(tmp_path):
    make_ignored(tmp_path / "a/runs")
    make_ignored(tmp_path)
    assert (tmp_path / "a/runs/.gitignore").read_text() == "*\n"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
