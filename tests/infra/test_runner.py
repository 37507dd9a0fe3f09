"""The runner's container: as the checkout's owner, without privileges."""

import json
import os
from pathlib import Path

import pytest

from .conftest import NODES, ComposeLab

pytestmark = pytest.mark.lab

# Stands in for lab.cli.runner and tells what it was started as.
TELL = """
import json, os, pathlib, sys
status = dict(l.split(":", 1) for l in open("/proc/self/status").read().splitlines())
pathlib.Path("/opt/socketlab/runs/left").write_text("by a run")
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(), "argv": sys.argv[1:],
    "scenario": os.environ["SCENARIO"], "nodes": len(json.load(open(os.environ["LAB_TOPOLOGY"]))["nodes"]),
    "capabilities": [status[name].strip() for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")],
    "no_new_privileges": status["NoNewPrivs"].strip(),
    "key": pathlib.Path(os.environ["LAB_SSH_KEY"]).read_text()[:35],
    "key_mode": oct(os.stat(os.environ["LAB_SSH_KEY"]).st_mode & 0o777),
    "known": len(open(os.environ["LAB_KNOWN_HOSTS"]).read().splitlines()),
}))
"""


@pytest.fixture(params=["own", "another"])
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """lab/ and runs/ of a checkout that belongs to this user or, if we may do that, to another."""
    (tmp_path / "lab/cli").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "lab/__init__.py").touch()
    (tmp_path / "lab/cli/__init__.py").touch()
    (tmp_path / "lab/cli/runner.py").write_text(TELL)
    if request.param == "another":
        if os.getuid() != 0:
            pytest.skip("only root can give files away")
        os.chown(tmp_path / "lab", 4321, 4322)
    return tmp_path


def test_it_runs_as_the_owner_of_the_checkout(lab: ComposeLab, checkout: Path) -> None:
    volumes = [f"{checkout}/lab:/opt/socketlab/lab:ro", f"{checkout}/runs:/opt/socketlab/runs"]
    (checkout / "mounts.json").write_text(json.dumps({"services": {"runner": {"volumes": volumes}}}))
    files = ("-f", "docker-compose.yml", "-f", f"{checkout}/mounts.json")
    done = lab.compose(*files, "run", "--rm", "-T", "--no-deps", "runner", "first", "second")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    owner = os.stat(checkout / "lab")
    assert (told["uid"], told["gid"], told["groups"]) == (owner.st_uid, owner.st_gid, [])
    assert set(told["capabilities"]) == {"0" * 16}
    assert told["no_new_privileges"] == "1"
    assert told["argv"] == ["first", "second"]
    assert told["key"].startswith("-----BEGIN OPENSSH PRIVATE KEY")
    assert told["key_mode"] == "0o600"
    assert told["known"] == told["nodes"] == len(NODES)
    left = os.stat(checkout / "runs/left")
    assert (left.st_uid, left.st_gid) == (owner.st_uid, owner.st_gid)


def test_it_speaks_the_readers_language(lab: ComposeLab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    done = lab.compose("run", "--rm", "-T", "--no-deps", "runner", "sticky-packets")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PASS  sticky-packets" in done.stdout
    assert "粘包" in done.stdout
    monkeypatch.setenv("LANG", "en_GB.UTF-8")
    assert "Answers stick together" in lab.compose("run", "--rm", "-T", "--no-deps", "runner").stdout
