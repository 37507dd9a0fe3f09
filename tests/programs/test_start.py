"""The start of lab-echo, lab-udp, lab-command and lab-transfer, as in the image."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["echo", "udp", "command", "transfer"])
def test_a_learners_file_does_not_shadow_the_standard_library(tmp_path, name):
    (tmp_path / "json.py").write_text("raise SystemExit('shadowed')\n")
    program = tmp_path / f"lab-{name}"
    program.symlink_to(ROOT / "images" / "host" / "program")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "LANG": "C.UTF-8",
    }
    done = subprocess.run(
        ["sh", program, "--help"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: lab-{name}")
