"""The link of a real lab: impaired, measured, healed; its process dies, and others change its settings."""

import json
import os
import signal
import subprocess

import pytest

from lab.control.link.measurement import failures
from lab.control.link.router import LinkFailure, RouterLink
from lab.control.transport import from_engine
from lab.errors import Unsupported, UsageError
from lab.link.binomial import interval
from lab.link.settings import Impairment, LinkSettings
from lab.link.verification import LEVEL
from lab.scenarios.catalog import Scenario
from lab.scenarios.play import play

pytestmark = pytest.mark.lab


@pytest.fixture
def seen():
    return []


@pytest.fixture
def lab(lab_topology, seen):
    """A separate connection, so that the link's events are seen; the link is always cleared afterwards."""
    with from_engine(lab_topology.project, seen.append) as lab:
        lab.link.begin("1")
        yield lab
        lab.link.begin("1")


@pytest.fixture
def link(lab):
    return lab.link


@pytest.fixture
def as_root(lab_topology):
    def run(script):
        argv = lab_topology.compose("exec", "-T", "--user", "root", "router", "bash", "-c", script)
        done = subprocess.run(
            argv, env=lab_topology.environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return done.stdout.strip()

    return run


def measured(link, direction="to-servers"):
    return {check.what: check for check in link.changes[-1].measured[direction]}


def ping(lab, *words, version=4):
    return lab.client.run(f"ping -{version} -q -W 1 {' '.join(words)} server", timeout=60).stdout


def test_the_router_has_settings_exactly_while_they_are_in_force(link, lab):
    router = RouterLink(lab.router)
    assert router.show().is_nothing
    link.set(loss=0.1, verify=False)
    assert not router.show().is_nothing
    link.clear()
    assert router.show().is_nothing


def test_an_unimpaired_path_is_not_queued_at_all(link, as_root):
    link.set(delay=0.01, verify=False)
    assert as_root("iptables-save | grep -c NFQUEUE; ip6tables-save | grep -c NFQUEUE").split() == ["2", "2"]
    link.clear()
    assert as_root("iptables-save | grep -c SOCKETLAB; ip6tables-save | grep -c SOCKETLAB").split() == [
        "0",
        "0",
    ]
    assert as_root("grep -vc '^ *64' /proc/net/netfilter/nfnetlink_queue") == "0"
    assert as_root("tc qdisc show | grep -c 'netem\\|tbf'") == "0"


@pytest.mark.parametrize(
    "asked",
    [
        Impairment(delay=0.02),
        Impairment(loss=0.2),
        Impairment(delay=0.05, jitter=0.02, loss=0.1, duplication=0.1),
        Impairment(delay=0.04, reordering=0.3, corruption=0.2),
        Impairment(delay=0.01, rate=5e6),
        Impairment(rate=1e6),
        Impairment(loss=1),
    ],
    ids=Impairment.describe,
)
def test_the_link_does_what_was_requested(link, asked):
    link.set_each(dict.fromkeys(link.directions, asked))
    assert failures(link.changes[-1].attempts[-1]) == []


def test_each_direction_has_its_own_impairment_on_a_real_link(link):
    link.set_each({"to-servers": Impairment(delay=0.03), "to-clients": Impairment(loss=0.3)})
    assert measured(link)["delay"].measured == pytest.approx(0.03, abs=0.005)
    assert measured(link)["loss"].measured == 0
    assert measured(link, "to-clients")["loss"].measured > 0.2
    link.set(delay=0.02, direction="to-clients")
    assert link.show().settings["to-clients"] == Impairment(delay=0.02)
    assert link.show().settings["to-servers"].is_nothing


def test_ipv6_is_impaired_like_ipv4(lab, link):
    link.set(delay=0.05, verify=False)
    assert float(ping(lab, "-c 5 -i 0.02", version=6).split("= ")[-1].split("/")[0]) >= 100
    link.set(loss=0.5, verify=False)
    text = ping(lab, "-c 400 -i 0.002", version=6)
    received = int(text.split(" received")[0].split()[-1])
    low, high = interval(400 - received, 400, LEVEL)
    assert low <= 0.75 <= high


def test_a_partition_is_healed(lab, link):
    link.partition()
    assert "100% packet loss" in ping(lab, "-c 3 -i 0.01")
    assert "100% packet loss" in ping(lab, "-c 3 -i 0.01", version=6)
    link.heal()
    assert " 0% packet loss" in ping(lab, "-c 3 -i 0.01")


def test_a_partition_in_one_direction(lab, link):
    with lab.server.start("python3 -u -c 'import socket; s = socket.socket(2, 2); s.bind((\"\", 7777));"
                          "print(\"listening on\", flush=True); print(s.recv(99))'") as server:  # fmt: skip
        with link.partitioned("to-clients", verify=False):
            lab.client.run(
                'python3 -c \'import socket; socket.socket(2, 2).sendto(b"hi", ("server", 7777))\''
            )
            server.wait_for_line("hi")
            assert "100% packet loss" in ping(lab, "-c 2 -i 0.01")
    assert " 0% packet loss" in ping(lab, "-c 2 -i 0.01")


def test_an_impairment_outlives_a_partition(link):
    link.set(delay=0.02, verify=False)
    with link.partitioned(verify=False):
        assert link.show().settings.cut == {"to-servers", "to-clients"}
    assert link.show().settings.describe() == "both ways: 20 ms"


def test_the_nth_packet_that_matches_is_dropped(lab, link):
    link.drop(3, protocol="icmp", direction="to-servers")
    assert "5 packets transmitted, 4 received" in ping(lab, "-c 5 -i 0.02")
    assert link.show().delivered["drops"] == [[5, 1]]


def test_a_dropped_syn_is_retransmitted_a_second_later(lab, link):
    connect = (
        "import socket, time; begun = time.time(); socket.create_connection(('server', 8077));"
        "print(time.time() - begun)"
    )
    with lab.server.start("lab-echo serve --port 8077"), link.dropping(1, port=8077, flags="SYN"):
        slow, fast = (float(lab.client.run(["python3", "-c", connect]).stdout) for _ in range(2))
    assert slow >= 0.9  # RFC 6298: the first retransmission timeout
    assert fast < slow


def test_the_same_seed_and_packets_get_the_same_decisions_on_a_real_link(lab, link):
    def answered(seed):
        link.seed = seed
        link.changes.clear()
        link.set(loss=0.5, direction="to-servers", verify=False)
        said = lab.client.run("ping -4 -n -c 40 -i 0.005 -W 1 server").lines
        return [line.split("icmp_seq=")[1].split()[0] for line in said if "icmp_seq=" in line]

    first = answered("1")
    assert answered("1") == first
    assert answered("2") != first


def test_settings_change_while_traffic_runs(lab, link):
    link.set(delay=0.005, verify=False)
    with lab.client.start("ping -4 -i 0.01 server", announce="icmp_seq=5") as traffic:
        link.set(delay=0.06, verify=False)
        count = len(traffic.lines)
        traffic.wait_for_line("icmp_seq=", after=count + 10)
        link.clear()
        count = len(traffic.lines)
        traffic.wait_for_line("icmp_seq=", after=count + 10)
        sequence = [
            int(line.split("icmp_seq=")[1].split()[0]) for line in traffic.lines if "icmp_seq=" in line
        ]
        times = [float(line.split("time=")[1].split()[0]) for line in traffic.lines if "time=" in line]
    assert sorted(sequence) == list(range(1, len(sequence) + 1))  # no packet was lost during the changes
    assert max(times) >= 120
    assert min(times[-5:]) < 10


def test_a_context_restores_the_link_after_an_exception(link):
    with pytest.raises(ZeroDivisionError), link.impaired(loss=0.2, verify=False):
        raise ZeroDivisionError
    assert link.show().settings.is_nothing


def test_an_inner_context_leaves_the_outer_ones_in_force(lab, link):
    with link.dropping(3, protocol="icmp", direction="to-servers"):
        ping(lab, "-c 2 -i 0.02")
        with link.impaired(delay=0.02, verify=False), link.partitioned("to-clients", verify=False):
            with link.dropping(1, protocol="udp"), link.impaired(delay=0.5, verify=False):
                pass
            assert link.show().settings["to-servers"] == Impairment(delay=0.02)
            assert link.show().settings.cut == {"to-clients"}
            assert link.show().delivered["drops"] == [[2, 0]]
        assert "5 packets transmitted, 4 received" in ping(lab, "-c 5 -i 0.02")  # match 3 is its first
        assert link.show().delivered["drops"] == [[7, 1]]
    assert link.show().settings.is_nothing


def test_a_json_py_in_the_home_directory_does_not_stop_a_measurement(lab, link):
    try:
        for host in (lab.client, lab.server):
            host.put("raise SystemExit('shadowed')", "json.py")
        link.set(delay=0.01)
    finally:
        for host in (lab.client, lab.server):
            host.run("rm -f json.py")


def test_an_invalid_setting_is_a_usage_error_and_changes_nothing(link):
    link.set(delay=0.01, verify=False)
    for wrong in ({"loss": 2}, {"delay": -1}, {"loss": 0.1, "direction": "up"}, {"jitter": 1}):
        with pytest.raises(UsageError):
            link.set(**wrong)
    link.backend = "tc"
    with pytest.raises(UsageError, match="nfqueue"):
        link.set(delay=0.02)
    assert link.show().settings.describe() == "both ways: 10 ms"


def test_a_setting_that_no_backend_supports_is_unsupported(link):
    link.backend = "statistic"
    with pytest.raises(Unsupported, match="delay"):
        link.set(delay=0.01)
    assert link.show().settings.is_nothing


def test_statistic_and_tbf_apply_the_settings_they_support(lab, link):
    link.backend = "statistic"
    link.set(loss=0.3, rate=5e6)
    assert link.changes[-1].backend == "statistic"
    link.drop(2, protocol="icmp", direction="to-servers")
    link.set(verify=False)
    assert "5 packets transmitted, 4 received" in ping(lab, "-c 5 -i 0.02")


def test_netem_is_used_if_the_kernel_has_it_and_unsupported_otherwise(link):
    link.backend = "netem"
    if link.show().can["netem"]:
        link.set(delay=0.02, loss=0.1)
        assert failures(link.changes[-1].attempts[-1]) == []
    else:
        with pytest.raises(Unsupported, match="netem"):
            link.set(delay=0.02)


def test_a_dead_queue_process_cuts_the_link_and_is_detected(lab, link, seen):
    link.set(delay=0.01, verify=False)
    worker = link.show().now["worker"]["pid"]
    assert not lab.router.run(f"kill -KILL {worker}").ok  # the user lab has no permission
    kill(lab, worker)
    assert "100% packet loss" in ping(lab, "-c 3 -i 0.01")
    with pytest.raises(LinkFailure, match="died"):
        link.show()
    assert any(event.kind == "link-failure" and "died" in event.reason for event in seen)
    link.clear()
    assert " 0% packet loss" in ping(lab, "-c 3 -i 0.01")


def kill(lab, pid):
    argv = ["docker", "compose", "-p", lab.title, "exec", "-T", "--user", "root", "router"]
    subprocess.run([*argv, "kill", "-KILL", str(pid)], check=True, stdin=subprocess.DEVNULL)


def test_a_link_that_does_not_do_what_was_requested_is_a_failure(link, as_root, monkeypatch):
    def sabotaged(probes=None):
        as_root("iptables -t mangle -F SOCKETLAB-LINK")
        return verify(probes)

    verify = link.verify
    monkeypatch.setattr(link, "verify", sabotaged)
    with pytest.raises(LinkFailure, match=r"to-servers delay: asked 20\.00 ms, measured 0"):
        link.set(delay=0.02)
    assert "asked 20" in link.failure


def play_it(lab, tmp_path, run):
    scenario = Scenario("tried", "Tried", "", run, lambda record: None)
    outcome = play(
        scenario, lambda observe: from_engine(lab.title, observe), lambda e: None, tmp_path, seed=7
    )
    return outcome, json.loads((outcome.folder / "record.json").read_text())


def test_a_run_records_settings_and_measurements_and_clears_the_link(lab, tmp_path):
    def run(lab):
        lab.link.set(delay=0.02)
        return {"rtt": lab.client.run("ping -4 -c 1 -q server").stdout}

    outcome, record = play_it(lab, tmp_path, run)
    assert outcome.verdict == "pass", outcome.reason
    impairment = record["impairment"]
    change, cleared = impairment["changes"]
    assert impairment["backend"] == change["backend"]
    assert change["asked"]["to-servers"]["delay"] == 0.02
    assert all(check["ok"] for check in change["measured"]["to-servers"])
    assert change["attempts"][-1]["measured"] == change["measured"]
    assert [attempt["disturbed"] for attempt in change["attempts"][:-1]] == [True] * (
        len(change["attempts"]) - 1
    )
    assert change["delivered"]["counts"]["to-servers"]["packets"] >= 2000
    assert cleared["asked"] == LinkSettings().as_json()
    assert lab.link.show().settings.is_nothing
    assert outcome.traffic.datagrams() == []  # the probes aren't traffic of the scenario


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda link: link.set(delay=0.001, verify=False), "both ways: 1 ms"),
        (lambda link: link.clear(), "unimpaired"),
    ],
    ids=["set", "clear"],
)
def test_a_run_whose_link_somebody_else_changed_never_passes(lab, tmp_path, change, found):
    def run(lab):
        lab.link.set(delay=0.01, verify=False)
        with from_engine(lab.title) as another_connection:
            change(another_connection.link)
        return {}

    outcome, _ = play_it(lab, tmp_path, run)
    assert outcome.verdict == "fail"
    assert outcome.reason == f"somebody else changed the link: asked both ways: 10 ms, found {found}"


def test_a_restart_of_the_router_during_a_run_is_reported_as_such(lab, tmp_path):
    def run(lab):
        lab.link.set(delay=0.01, verify=False)
        lab.router.reboot()
        return {}

    outcome, _ = play_it(lab, tmp_path, run)
    assert outcome.verdict == "fail"
    assert outcome.reason == "the router was restarted and lost its settings: asked both ways: 10 ms"


def test_every_record_names_the_backend(lab, tmp_path):
    _, record = play_it(lab, tmp_path, lambda lab: {})
    assert record["impairment"]["backend"] in ("netem", "nfqueue", "statistic")
    assert record["impairment"]["changes"] == []


def test_a_run_whose_queue_process_died_never_passes(lab, tmp_path):
    def run(lab):
        lab.link.set(delay=0.01, verify=False)
        kill(lab, lab.link.show().now["worker"]["pid"])
        return {}

    outcome, _ = play_it(lab, tmp_path, run)
    assert outcome.verdict == "fail"
    assert "died" in outcome.reason


def test_a_run_whose_link_failed_fails_even_if_the_scenario_continues(lab, tmp_path):
    def run(lab):
        lab.link.set(delay=0.01, verify=False)
        kill(lab, lab.link.show().now["worker"]["pid"])
        try:
            lab.link.clear()
        except LinkFailure:
            return {}
        raise AssertionError("the link's death was not noticed")

    outcome, _ = play_it(lab, tmp_path, run)
    assert outcome.verdict == "fail"
    assert "died" in outcome.reason


def test_settings_left_by_a_killed_run_are_cleared_before_the_next(lab, link, tmp_path):
    link.partition(verify=False)
    outcome, _ = play_it(
        lab, tmp_path, lambda lab: {"loss": lab.client.run("ping -c1 -W1 server", check=True).ok}
    )
    assert outcome.verdict == "pass", outcome.reason


def test_ctrl_c_in_a_run_clears_the_link(lab, tmp_path):
    def run(lab):
        lab.link.set(loss=0.5, verify=False)
        os.kill(os.getpid(), signal.SIGINT)
        lab.client.run("sleep 30")
        return {}

    with pytest.raises(KeyboardInterrupt):
        play_it(lab, tmp_path, run)
    assert lab.link.show().settings.is_nothing
