"""The agent of a node, from the controller: requests, reports, and its start after any end."""

import json
import os
import queue
import select
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from lab.control.agent import MAX_LINE, AgentProcess, NodeAgent
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure, HostTimeout, Unsupported
from tests.agent.rig import ROOT

ALONE = [sys.executable, "-P", "-S", "-m", "lab.agent"]
# Answers requests with those of a script: what a broken or forged agent might send.
FORGED = "import sys\nfor line in sys.stdin: print({answer!r}, flush=True)"


class LocalSession:
    """A session whose command is a process of this machine."""

    exit_code = exit_signal = None

    def __init__(self, argv):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.child = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def pump(self, on_output, deadline):
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.child.stdout], [], [], left)[0]:
                return False
            data = os.read(self.child.stdout.fileno(), 1 << 16)
            if not data:
                self.child.wait()
                return True
            on_output("stdout", data)

    def send(self, data):
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def close_stdin(self):
        self.child.stdin.close()
        self.child.stdin = None

    def send_signal(self, name):
        self.child.send_signal(getattr(signal, f"SIG{name}"))

    def close(self):
        self.child.kill()
        self.child.communicate()


class LocalConnection:
    """A connection that starts ``argv``, whatever the command."""

    def __init__(self, argv):
        self.argv, self.sessions = argv, []

    def __call__(self):
        return self

    def execute(self, command):
        self.sessions.append(LocalSession(self.argv))
        return self.sessions[-1]


@pytest.fixture
def started():
    """Makes agents, and ends them."""
    agents = []

    def start(argv=ALONE):
        connection = LocalConnection(argv)
        agents.append(NodeAgent(connection, "kali"))
        return agents[-1], connection

    yield start
    for agent in agents:
        agent.close()


def test_the_agent_is_started_at_the_first_request_and_only_once(started):
    agent, connection = started()
    assert connection.sessions == []
    for _ in range(100):
        assert agent.request("clock", timeout=10)["boot_id"]
    assert len(connection.sessions) == 1


def test_requests_of_many_threads_get_their_own_answers(started):
    agent, _ = started()
    agent.request("watch", timeout=10, interval=0.001)
    with ThreadPoolExecutor(max_workers=8) as pool:
        jobs = [pool.submit(agent.request, "clock" if n % 2 else "unknown", timeout=10) for n in range(200)]
    assert all(job.result()["time"] for job in jobs[1::2])
    assert all("unknown op" in str(job.exception()) for job in jobs[::2])


def test_what_the_agent_refuses_is_raised_with_the_name_of_the_node(started):
    agent, _ = started()
    with pytest.raises(EnvironmentFailure, match="kali: nothing is watched"):
        agent.request("poll", timeout=10)
    with pytest.raises(Unsupported, match="kali: this node has no root part"):
        agent.request("impair", timeout=10, request={"op": "show"})


def test_reports_go_to_every_callback_until_it_is_taken_away(started):
    agent, _ = started()
    first, second = [], []
    agent.reports(first.append)
    agent.reports(second.append)
    agent.request("watch", timeout=10, interval=60)
    agent.request("poll", timeout=10)
    assert first == second != []
    agent.ignore_reports(second.append)
    count = len(second)
    agent.request("watch", timeout=10, interval=60)
    agent.request("poll", timeout=10)
    assert (len(second), len(first) > count) == (count, True)


def test_an_agent_that_was_killed_is_reported_and_started_again(started):
    agent, connection = started()
    ended = threading.Event()
    agent.reports(lambda report: ended.set() if "ended" in report else None)
    agent.request("clock", timeout=10)
    connection.sessions[0].child.kill()
    assert ended.wait(10)
    assert agent.request("clock", timeout=10)["time"]
    assert len(connection.sessions) == 2


def test_a_request_in_progress_fails_at_once_when_the_agent_ends(started):
    agent, connection = started()
    agent.request("probe", timeout=10, step="listen", peer="127.0.0.1", port=0)
    with ThreadPoolExecutor(max_workers=1) as pool:
        job = pool.submit(agent.request, "probe", timeout=50, step="opened", seconds=60)
        agent.request("clock", timeout=10)  # so that the request before has been sent
        connection.sessions[0].child.kill()
        with pytest.raises(EnvironmentFailure, match=r"its agent \(probe\)"):
            job.result(10)


def test_an_agent_that_does_not_answer_is_a_timeout_and_its_late_answer_is_dropped(started):
    agent, connection = started()
    agent.request("clock", timeout=10)
    child = connection.sessions[0].child
    child.send_signal(signal.SIGSTOP)
    with pytest.raises(HostTimeout, match=r"kali: its agent \(clock\): not within 0.1 s"):
        agent.request("clock", timeout=0.1)
    child.send_signal(signal.SIGCONT)
    assert agent.request("clock", timeout=10)["time"]
    assert len(connection.sessions) == 1


def test_an_agent_that_hangs_can_be_abandoned(started):
    agent, connection = started()
    agent.request("clock", timeout=10)
    connection.sessions[0].child.send_signal(signal.SIGSTOP)
    agent.abandon()
    assert agent.request("clock", timeout=10)["time"]
    assert len(connection.sessions) == 2
    agent.abandon()
    agent.abandon()


@pytest.mark.parametrize(
    ("answer", "why"),
    [("nonsense", "isn't JSON"), ("[1]", "no message"), ("[" * 100_000, "isn't JSON")],
)
def test_an_agent_that_sends_nonsense_is_ended(started, answer, why):
    agent, _ = started([sys.executable, "-S", "-c", FORGED.format(answer=answer)])
    with pytest.raises(EnvironmentFailure, match=why):
        agent.request("clock", timeout=10)


def test_a_line_without_an_end_is_refused_in_linear_time():
    process = AgentProcess(LocalSession(["true"]), "kali", lambda report: None)
    piece = b"x" * 4096
    begun = time.process_time()
    for _ in range(MAX_LINE // len(piece)):
        process._take(piece)
    with pytest.raises(EnvironmentFailure, match=f"a line of more than {MAX_LINE} bytes"):
        process._take(piece)
    assert time.process_time() - begun < 2  # copying the line for each piece takes minutes
    process.close()


@pytest.mark.parametrize(
    "answer",
    [{"id": 1}, {"id": 1, "error": 7, "code": 3}, {"id": 1, "error": "", "code": []}, {"id": 1, "ok": 7}],
)
def test_a_forged_answer_is_an_environment_failure(started, answer):
    agent, _ = started([sys.executable, "-S", "-c", FORGED.format(answer=json.dumps(answer))])
    with pytest.raises(EnvironmentFailure):
        agent.request("clock", timeout=10)


# ----------------------------------------------------------- on a real node

AGENTS = "pgrep -f '[l]ab.agent.__main__'"  # doesn't match the shell that runs it
CONTROLLER = """
import sys, time
from lab.control.transport import from_engine
with from_engine(sys.argv[1]) as lab:
    lab.client.agent.request("watch", timeout=10)
    lab.client.agent.request("probe", timeout=10, step="listen", peer="server", port=47000)
    print("ready", flush=True)
    time.sleep(60)
"""


@pytest.mark.lab
def test_one_half_runs_as_lab_without_capabilities_and_the_other_as_root(shared_lab):
    shared_lab.client.agent.request("clock", timeout=10)
    look = f"for p in $({AGENTS}); do grep -hE '^(Uid|CapEff)' /proc/$p/status; done"
    words = shared_lab.client.run(look).stdout.split()
    ids = {words[i + 1]: words[i + 6] for i, word in enumerate(words) if word == "Uid:"}
    assert ids["1000"] == "0" * 16
    assert "0" in ids


@pytest.mark.lab
def test_an_agent_is_started_again_after_it_was_killed_and_after_a_power_cut(shared_lab):
    client, ends = shared_lab.client, queue.Queue()
    client.agent.request("clock", timeout=10)
    client.agent.reports(ends.put)
    try:
        client.run(f"kill -KILL $({AGENTS} -u lab)")
        assert ends.get(timeout=10) == {"ended": "agent: killed by signal 9"}
        assert client.agent.request("clock", timeout=10)["time"]
        client.reboot()
        assert ends.get(timeout=10)
        assert client.agent.request("clock", timeout=10)["time"]
        client.disconnect()
        assert client.agent.request("clock", timeout=10)["time"]
    finally:
        client.agent.ignore_reports(ends.put)


@pytest.mark.lab
def test_a_host_refuses_to_impair_and_the_router_refuses_nonsense(shared_lab):
    with pytest.raises(EnvironmentFailure, match="only a router impairs links"):
        shared_lab.client.agent.request("impair", timeout=10, request={"op": "show"})
    for request in None, [], {"op": "destroy"}, {"op": "apply", "interfaces": {"a": 1}}:
        with pytest.raises(EnvironmentFailure):
            shared_lab.router.agent.request("impair", timeout=10, request=request)
    assert shared_lab.router.agent.request("impair", timeout=10, request={"op": "show"})["now"]["links"] == []


@pytest.mark.lab
def test_settings_of_a_link_outlive_the_agent_that_made_them(shared_lab):
    router = shared_lab.router
    shared_lab.link.set(delay=0.02, verify=False)
    try:
        router.agent.close()
        (link,) = router.agent.request("impair", timeout=10, request={"op": "show"})["now"]["links"]
        assert link["alive"]
        assert shared_lab.client.run("ping -c 1 server", timeout=10).ok
    finally:
        shared_lab.link.clear()


@pytest.mark.lab
def test_a_controller_that_is_killed_leaves_no_agent_behind(lab_topology):
    with from_engine(lab_topology.project) as lab:
        before = agents(lab.client)
        argv = [sys.executable, "-c", CONTROLLER, lab_topology.project]
        with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE) as controller:
            assert controller.stdout.readline() == b"ready\n"
            assert len(agents(lab.client) - before) >= 3  # two halves, and the probe
            controller.kill()
        deadline = time.monotonic() + 10
        while agents(lab.client) - before:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def agents(host):
    return set(host.run(f"{AGENTS} || true").stdout.split())
