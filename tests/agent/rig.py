"""The agent as a process of this machine, without its root half."""

import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIMEOUT = 10.0


class LocalAgent:
    """``python3 -m lab.agent``: requests and answers as JSON objects, with a deadline for each."""

    def __init__(self, argv=(sys.executable, "-P", "-S", "-m", "lab.agent")):
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.child = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self.count = 0
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.kill()
        self.child.communicate()

    def write(self, data):
        self.child.stdin.write(data)
        self.child.stdin.flush()

    def line(self):
        """The next message. Raises EOFError at the end of the output."""
        deadline = time.monotonic() + TIMEOUT
        while b"\n" not in self.rest:
            assert select.select([self.child.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]
            data = os.read(self.child.stdout.fileno(), 1 << 16)
            if not data:
                raise EOFError(self.child.stderr.read())
            self.rest += data
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def send(self, op, **arguments):
        self.count += 1
        self.write(json.dumps({"id": self.count, "op": op, **arguments}).encode() + b"\n")
        return self.count

    def ask(self, op, **arguments):
        """Returns the answer, and the reports before it."""
        number, reports = self.send(op, **arguments), []
        while "id" not in (message := self.line()):
            reports.append(message["report"])
        assert message.pop("id") == number
        return message, reports

    def ok(self, op, **arguments):
        answer, _ = self.ask(op, **arguments)
        assert "error" not in answer
        return answer["ok"]

    def finish(self):
        """Closes its input. Returns its exit code, and the rest of its output and its error output."""
        output, errors = self.child.communicate(timeout=TIMEOUT)
        return self.child.returncode, self.rest + output, errors.decode()
