"""A router with three segments, in network namespaces of a container: see in_namespaces.py."""

import json
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.lab

SCRIPT = Path(__file__).parent / "in_namespaces.py"
LAB = Path(__file__).parents[3] / "lab"


@pytest.fixture
def router(lab_topology):
    """Runs a case. The lab isn't used, but its images are built."""

    def run(*words):
        argv = ["docker", "run", "--rm", "-i", "--privileged", "--network", "none", "--user", "root"]
        argv += [
            "-v",
            f"{LAB}:/opt/socketlab/lab:ro",
            "--entrypoint",
            "python3",
            "socketlab/router",
            "-B",
            "-",
        ]
        done = subprocess.run(
            [*argv, *words], input=SCRIPT.read_text(), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run


def test_each_direction_of_each_link_has_its_own_settings(router):
    saw = router("pairs")
    assert 30 <= saw["red-green"][2] < 45
    assert 30 <= saw["six"][2] < 45
    assert saw["red-blue"][2] < 10
    assert saw["blue-green"][0] == 0


def test_lines_that_share_an_interface_have_their_own_rates(router):
    saw = router("rates")
    assert saw["red"] == pytest.approx(8e6, rel=0.25)
    assert saw["blue"] == pytest.approx(32e6, rel=0.25)
    assert saw["free"] > 60e6
    assert saw["red cleared"] > 60e6
    assert saw["blue stays"] == pytest.approx(32e6, rel=0.25)
    assert "htb" not in saw["qdiscs"]
    assert saw["rules"] == "0"


def test_copies_of_packets_share_the_line(router):
    saw = router("copies")
    assert saw["duplicates"] >= 4
    assert saw["in class"] >= 10


def test_a_change_of_one_link_leaves_the_others_as_they_are(router):
    saw = router("untouched")
    assert saw == {"same": True, "links": 2, "received": 4, "drops": [[7, 1]], "left": [["red", "blue"]]}


def test_a_change_of_one_link_leaves_the_counts_of_the_others(router):
    assert router("statistic_drops") == {"blue": 4, "green": 0}


def test_a_partition_holds_beside_links_and_other_partitions(router):
    saw = router("partition")
    assert (saw["red-green"], saw["six"], saw["inner"], saw["ping"]) == (0, 0, 0, 3)
    assert saw["red-blue"][0] >= 1  # ping waits for the last answer for two round trips only
    assert saw["red-blue"][2] >= 20
    assert saw["dropped"] == [[0, 1, 6], [1, 0, 0]]
    assert (saw["count"], saw["alive"], saw["flushed"]) == (1, True, False)
    assert saw["healed"] == {"links": [], "partitions": []}
    assert saw["rules"] == "0"


def test_a_one_way_partition_passes_packets_of_the_other_direction(router):
    assert router("one_way") == {"red": "silence", "green": "hi"}


def test_requests_with_invalid_links_or_partitions_change_nothing(router):
    assert router("refused") == {"answers": [2] * 8, "now": {"links": [], "partitions": []}}


def test_no_mistake_in_a_request_goes_further_than_its_check(router):
    saw = router("mutated")
    assert saw["surprises"] == []
    assert saw["refused"] > 200
