"""Waiting for a container: each condition, its deadline, and a container that ends instead."""

import time

import pytest

from lab.engine.workloads.ready import wait_until_ready
from lab.errors import EnvironmentFailure
from lab.topology.model import Ready

pytestmark = pytest.mark.lab

DEBIAN = "debian:trixie-slim"
HEALTH = {"test": ["CMD", "test", "-e", "/healthy"], "interval": 10**8, "start_period": 0}


def failure(workload, ready, timeout=0.5):
    with pytest.raises(EnvironmentFailure) as caught:
        wait_until_ready([(workload, ready)], timeout=timeout)
    return str(caught.value).splitlines()


def test_a_line_of_output_is_waited_for(start):
    reported = []
    workload = start(DEBIAN, "sh", "-c", "echo starting; sleep 0.3; echo now ready; exec sleep 1000")
    wait_until_ready([(workload, Ready("log", text="now ready"))], timeout=20, report=reported.append)
    assert [str(text) for text in reported] == ["web is ready: log now ready"]


def test_a_health_check_is_waited_for(start):
    workload = start(DEBIAN, "sh", "-c", "sleep 0.3; touch /healthy; exec sleep 1000", healthcheck=HEALTH)
    wait_until_ready([(workload, Ready("healthcheck"))], timeout=20)
    assert workload.state().health == "healthy"


def test_an_image_without_a_health_check_is_an_error_at_once(start):
    (line,) = failure(start(DEBIAN, "sleep", "1000"), Ready("healthcheck"), timeout=60)
    assert line == "web: its image has no health check; add one, or choose another condition in `ready`"


def test_a_container_that_is_late_is_an_error_with_its_last_output(start):
    workload = start(DEBIAN, "sh", "-c", "seq 20; exec sleep 1000")
    first, *lines = failure(workload, Ready("tcp", 80))
    assert first == "web: its container isn't ready after 0.5 s: nothing listens on tcp port 80"
    assert lines == [f"  {number}" for number in range(11, 21)]


@pytest.mark.parametrize("ready", [Ready("tcp", 80), Ready("log", text="ready"), None])
def test_a_container_that_ends_fails_at_once(start, ready):
    workload = start(DEBIAN, "sh", "-c", "echo no such table >&2; exit 4")
    workload.container.wait()
    started = time.monotonic()
    assert failure(workload, ready, timeout=30) == [
        "web: its container ended with exit code 4",
        "  no such table",
    ]
    assert time.monotonic() - started < 10


def test_a_program_that_does_its_work_and_exits_is_ready_without_a_condition(start):
    workload = start(DEBIAN, "true")
    workload.container.wait()
    wait_until_ready([(workload, None)], timeout=5)
