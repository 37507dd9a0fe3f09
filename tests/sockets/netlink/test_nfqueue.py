"""The queue on the real kernel of a lab's router, as root: see on_router.py."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

SCRIPT = Path(__file__).parent / "on_router.py"
BOTH_VERSIONS = pytest.mark.parametrize("version", [4, 6])


@pytest.fixture
def on_router(lab_topology):
    def run(case, version):
        argv = lab_topology.compose("exec", "-T", "--user", "root", "router", "python3", "-IB", "-")
        done = subprocess.run(
            [*argv, case, str(version)],
            input=SCRIPT.read_text(),
            env=lab_topology.environment(),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


@BOTH_VERSIONS
def test_each_packet_waits_for_its_verdict(on_router, version):
    saw = on_router("verdicts", version)
    assert saw == {"silent_before": True, "texts": ["3", "0", "2", "4"], "overflowed": 0}


@BOTH_VERSIONS
def test_the_requested_number_of_bytes_is_copied(on_router, version):
    whole = 1000 + 8 + (20 if version == 4 else 40)
    assert on_router("copies", version) == {"0": [0, 0], "60": [60, 9955], "65535": [whole, 9955]}


def test_a_packet_can_be_accepted_with_other_bytes(on_router):
    assert on_router("replaced", 4) == {"got": "`" + "a" * 49}


def test_a_changed_packet_fails_its_checksum_on_ipv6(on_router):
    assert on_router("replaced", 6) == {"got": None}


@BOTH_VERSIONS
def test_an_injected_copy_is_not_queued(on_router, version):
    assert on_router("injected", version) == {"texts": ["twice", "twice"], "queued_again": 0}


@BOTH_VERSIONS
def test_a_queue_without_a_consumer_drops_its_packets(on_router, version):
    assert on_router("dies", version) == {"silent": True}


def test_a_queue_has_one_consumer(on_router):
    assert "queue 64000" in on_router("taken", 4)["refused"]


def test_many_verdicts_at_once(on_router):
    assert on_router("many", 4) == {"received": 1200}
