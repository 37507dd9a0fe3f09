"""An open lab is observed by several, for as long as each wants."""

import threading

import pytest

from lab.control.lab import Lab, ignore
from lab.control.observers import EventFanout
from lab.errors import UsageError
from lab.evidence.packets.traffic import Traffic


def test_an_event_reaches_each_observer_and_none_after_its_context():
    always, later = [], []
    lab = Lab([], always.append, "empty")
    lab.note("before")
    with lab.observed_by(later.append) as same:
        assert same is lab
        lab.note("meanwhile")
    lab.note("after")
    assert [event.text for event in always] == ["before", "meanwhile", "after"]
    assert [event.text for event in later] == ["meanwhile"]


def test_an_observer_that_is_there_twice_leaves_once():
    seen = []
    observers = EventFanout(seen.append)
    with observers.also(seen.append):
        pass
    observers("event")
    assert seen == ["event"]


def test_events_of_several_threads_reach_an_observer_one_at_a_time():
    inside, at_once = threading.Lock(), []

    def observe(event):
        at_once.append(not inside.acquire(blocking=False))
        inside.release()

    observers = EventFanout(observe)
    threads = [threading.Thread(target=lambda: [observers(n) for n in range(2000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert at_once == [False] * 8000


def test_one_lab_is_recorded_many_times_and_never_twice_at_once(tmp_path):
    lab = Lab([], ignore, "empty")
    (tmp_path / "events.jsonl").touch()
    for _ in range(3):
        seen = []
        with lab.recording(tmp_path, observe=seen.append) as recording:
            lab.note("here")
            assert lab.packets().packets == recording.evidence().traffic.packets == []
            with pytest.raises(UsageError, match="recorded already"), lab.recording(tmp_path):
                pass
            assert lab.states() == []
        assert [event.text for event in seen] == ["here"]
        assert isinstance(recording.traffic, Traffic)
    with pytest.raises(UsageError, match="only while"):
        lab.packets()
