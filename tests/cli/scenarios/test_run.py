"""`lab run`: its options."""

from lab.cli.scenarios import run
from lab.control.collection import capture, capture_stream


def test_the_defaults_of_captures_are_those_of_the_controller():
    assert (run.SNAPLEN, run.LIMIT << 20) == (capture_stream.SNAPLEN, capture.LIMIT)
