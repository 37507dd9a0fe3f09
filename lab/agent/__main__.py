"""The agent: serves the controller on a node, as one process or two.

It reads requests from standard input and writes answers and reports to standard output, JSON objects, one a
line: {"id": 7, "op": "clock"} is answered by {"id": 7, "ok": {…}} or by {"id": 7, "error": "…", "code": 3};
{"report": {…}} answers no request. It exits at end of file.

On a node of our images it starts as root and forks: one half becomes the user lab and serves the controller,
the other carries out the requests that need root. On a real machine there is no
root half: `python3 -P -S -m lab.agent`.
"""

from __future__ import annotations

import os
import pwd
import signal
import sys
from contextlib import suppress

from lab.agent.agent import serve
from lab.agent.lines import Lines, pair
from lab.agent.peer import Peer

USER = "lab"


def main() -> None:
    """Runs the agent in two halves, as root. images/host/agent calls it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.chdir("/")
    ours, theirs = pair()
    child = os.fork()
    if child == 0:
        _run_as_lab(theirs, close=ours)
    for descriptor in theirs:
        os.close(descriptor)
    from lab.agent.root import RootHalf, compile_in_background

    with suppress(OSError):  # there may be no room for another process
        compile_in_background()
    code = RootHalf(child, Lines(*ours)).run()
    if code < 0:
        with suppress(OSError):
            os.write(2, f"agent: killed by signal {-code}\n".encode())
    sys.exit(code if code >= 0 else 128 - code)


def _run_as_lab(to_root: tuple[int, int], close: tuple[int, int]) -> None:
    """Runs in the child and never returns."""
    code = 1
    try:
        for descriptor in close:
            os.close(descriptor)
        become(USER)
        code = serve(0, 1, Peer("the root half of the agent", *to_root))
    except Exception as error:
        with suppress(OSError):
            os.write(2, f"agent: {type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


def become(name: str) -> None:
    """Gives up root permanently: the process gets the user's ids and loses all capabilities."""
    user = pwd.getpwnam(name)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)


def alone() -> None:
    """Runs the agent without a root half."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(serve(0, 1))


if __name__ == "__main__":
    alone()
