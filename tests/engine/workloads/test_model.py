"""The engine's description of a container's state."""

import pytest

from lab.engine.workloads.model import WorkloadState, exit_signal, nanoseconds, seconds


def test_a_state_is_read_from_the_engines_description():
    inspected = {
        "Status": "exited",
        "ExitCode": 137,
        "OOMKilled": True,
        "Error": "",
        "StartedAt": "2026-11-21T18:19:00.5Z",
        "FinishedAt": "2026-11-21T18:19:01Z",
        "Health": {"Status": "healthy"},
    }
    state = WorkloadState.from_inspect(inspected)
    assert (state.status, state.exit_code, state.out_of_memory, state.health) == (
        "exited",
        137,
        True,
        "healthy",
    )
    assert state.finished - state.started == 0.5
    assert not state.running


def test_a_timestamp_keeps_its_nanoseconds():
    assert nanoseconds("1970-01-01T00:00:01.000000001Z") == 10**9 + 1
    assert nanoseconds("1970-01-01T00:00:01Z") == 10**9
    assert seconds("0001-01-01T00:00:00Z") == 0


@pytest.mark.parametrize(("code", "number"), [(0, 0), (1, 0), (128, 0), (137, 9), (139, 11), (255, 0)])
def test_a_code_above_128_stands_for_a_signal(code, number):
    assert exit_signal(code) == number
