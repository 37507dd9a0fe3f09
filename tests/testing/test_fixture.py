"""The fixture `lab` in sessions of pytest: reset, recorded, and explained when a test fails."""

import json
import xml.etree.ElementTree as ElementTree

import pytest

from lab.evidence.packets import traffic

ISOLATED = """
import random
import pytest
from lab.control.transport import from_engine
from lab.errors import EnvironmentFailure

def test_first(lab):
    lab.client.run("setsid sleep 300 >/dev/null 2>&1 </dev/null & touch /tmp/left-behind", check=True)
    lab.link.set(delay=0.2, verify=False)
    assert lab.random.random() == random.Random(7).random()

def test_the_next_finds_nothing_left(lab):
    assert lab.client.run("ps -e -o args=; ls /tmp").stdout.count("sleep 300") == 0
    assert "left-behind" not in lab.client.run("ls /tmp").stdout
    assert lab.link.settings.is_nothing
    assert lab.random.random() == random.Random(7).random()

@pytest.mark.lab(link=dict(delay=0.03))
def test_link(lab):
    assert lab.link.settings.describe() == "both ways: 30 ms"

@pytest.mark.lab(link={"to-servers": dict(loss=1.0)})
def test_link_by_direction(lab):
    assert lab.link.settings["to-servers"].loss == 1.0
    assert lab.link.settings["to-clients"].loss == 0.0

def test_asked_for_while_it_runs(request):
    assert request.getfixturevalue("lab").client.run("true").ok

def test_evidence(lab):
    with lab.server.start("nc -lk 8080", announce=""), lab.capture("client") as capture:
        lab.client.run("until nc -zw 1 server 8080; do sleep 0.05; done", check=True)
        handshakes = [c.handshake for c in lab.packets().connections(8080)]
        assert handshakes[-1] == "complete"
        assert any(socket.local.port == 8080 for socket in lab.states())
    assert lab.packets().connections(8888) == []
    lab.client.run("nc -zw 1 server 8888")
    assert "port 8888 was answered with RST" in lab.diagnosis().text

@pytest.mark.needs("ssh", "ipv6", "hostname")
def test_no_other_run_is_on_the_lab(lab):
    with from_engine(lab.title) as other:
        with pytest.raises(EnvironmentFailure, match="another run is on this lab"), other.claimed():
            pass
"""
FAILING = """
import time
import pytest
from lab.errors import Unsupported

@pytest.mark.parametrize("port", [8888, "a/b"])
def test_refused(lab, port):
    lab.client.run(["sh", "-c", "echo so far; nc -zw 1 server 8888"], check=True)

def test_unsupported(lab):
    raise Unsupported("no such backend")

@pytest.mark.lab(timeout=0.5)
def test_slow(lab):
    time.sleep(30)

@pytest.fixture
def broken(lab):
    yield
    raise ValueError("in tear-down")

def test_teardown(broken):
    pass

@pytest.mark.xfail
def test_expected(lab):
    assert False

def test_skipped(lab):
    pytest.skip("not today")

def test_misspelt(lab):
    lab.sever.run("true")

def test_passes(lab):
    pass
"""


@pytest.fixture
def on_lab(lab_topology, session):
    """Runs a session on the lab of this one."""
    return lambda *words: session("--lab", lab_topology.project, "--lab-seed", "7", *words)


def folders(pytester):
    return sorted(path.name for path in (pytester.path / "lab-artifacts").glob("[!.]*"))


@pytest.mark.lab
def test_a_test_finds_nothing_left_by_the_previous_one_and_has_all_evidence(pytester, on_lab):
    pytester.makepyfile(ISOLATED)
    on_lab().assert_outcomes(passed=7)
    assert folders(pytester) == []


@pytest.mark.lab
def test_a_failure_is_explained_and_leaves_its_evidence(pytester, on_lab):
    pytester.makepyfile(test_it=FAILING)
    result = on_lab("--junitxml", "junit.xml")
    result.assert_outcomes(failed=5, errors=1, passed=2, xfailed=1, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*- lab -*",
            "diagnosis: kali was refused by win10*its SYN to port 8888 was answered with RST*",
            "kali$ sh -c 'echo so far; nc -zw 1 server 8888': exit code 1",
            "  stdout: so far",
            "repeat with: --lab-seed 7",
            "trace: lab-artifacts/test_it.py-test_refused-8888/trace.html",
        ]
    )
    result.stdout.fnmatch_lines(["unsupported: no such backend", "*Failed: Timeout*0.5*s*"])
    assert "host.py" not in result.stdout.str(), "the lab's own code isn't shown"
    names = folders(pytester)
    assert [name.removeprefix("test_it.py-").partition("-a-b-")[0] for name in names] == [
        *("test_misspelt", "test_refused-8888", "test_refused", "test_slow", "test_teardown"),
        "test_unsupported",
    ]
    assert_readable(pytester.path / "lab-artifacts/test_it.py-test_refused-8888")
    assert (pytester.path / "lab-artifacts/.gitignore").read_text() == "*\n"
    root = ElementTree.parse(pytester.path / "junit.xml").getroot()
    cases = {case.get("name"): case for case in root.iter("testcase")}
    assert not list(cases["test_passes"].iter("property"))
    found = {p.get("name"): p.get("value") for p in cases["test_refused[8888]"].iter("property")}
    assert found.keys() == {
        *("lab_seed", "lab_artifacts", "lab_trace.html", "lab_clients.pcapng", "lab_servers.pcapng"),
        "lab_events.jsonl",
    }
    assert found.pop("lab_seed") == "7"
    assert all((pytester.path / path).exists() for path in found.values())


def assert_readable(folder):
    assert {path.name for path in folder.iterdir()} == {
        "trace.html", "record.json", "events.jsonl", "output", "clients.pcapng", "servers.pcapng",
    }  # fmt: skip
    record = json.loads((folder / "record.json").read_text())
    assert (record["verdict"], record["seed"]) == ("fail", 7)
    assert "exit code 1" in record["reason"]
    assert "was answered with RST" in record["diagnosis"]["sentences"][0]
    assert {c.handshake for c in traffic.load(folder).connections(8888)} == {"refused"}


@pytest.mark.lab
@pytest.mark.parametrize(
    ("trace", "kept"), [("on", ["test_it.py-test_fails", "test_it.py-test_passes"]), ("off", [])]
)
def test_the_evidence_of_every_test_is_kept_or_that_of_none(pytester, on_lab, trace, kept):
    pytester.makepyfile(test_it="def test_passes(lab): pass\ndef test_fails(lab): assert not 'hidden'")
    result = on_lab("--lab-trace", trace)
    result.assert_outcomes(passed=1, failed=1)
    assert folders(pytester) == kept
    assert ("trace: lab-artifacts" in result.stdout.str()) == bool(kept)
    assert "repeat with: --lab-seed 7" in result.stdout.str()


@pytest.mark.lab
def test_a_test_whose_lab_lacks_something_can_be_skipped(pytester, on_lab):
    pytester.makepyfile(
        "from lab.errors import Unsupported\ndef test_it(lab): raise Unsupported('no netem here')"
    )
    result = on_lab("--lab-unsupported", "skip", "-rs")
    result.assert_outcomes(skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*unsupported: no netem here"])


@pytest.mark.lab
@pytest.mark.parametrize("need", ["netem", "nfqueue"])
def test_a_need_that_is_not_met_fails_with_the_reason(pytester, on_lab, shared_lab, need):
    pytester.makepyfile(f"import pytest\n@pytest.mark.needs({need!r})\ndef test_it(lab): pass")
    result = on_lab()
    met = bool(shared_lab.link.show().can[need])
    result.assert_outcomes(passed=met, errors=not met)
    assert (f"unsupported: the kernel of router has no {need}" in result.stdout.str()) == (not met)


@pytest.mark.parametrize("words", [(), ("--lab", "nowhere")], ids=["own", "given"])
def test_without_an_engine_each_test_has_one_clear_error(pytester, apart, monkeypatch, words):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    pytester.makepyfile("def test_one(lab): pass\ndef test_two(lab): pass")
    result = apart(*words)
    result.assert_outcomes(errors=2)
    assert "Traceback" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        ["*ERROR at setup of test_one*", "*Docker Engine*", "*ERROR at setup of test_two*"]
    )
    assert len(result.outlines) < 20, result.stdout.str()
