"""Kills a command that runs in a container.

The engine can start a command in a container, but not signal it (moby/moby#35703, open), and reports only its
process number on the engine's machine. The image of the container may have neither a shell nor `kill`. So a
container of a lab image, in the process namespace of that machine, sends the signal, and only to processes of
the container.
"""

from __future__ import annotations

from lab.engine.client import PROJECT_LABEL, client_of, sdk_call
from lab.engine.http.container import Container

# Arguments: the container's ID, the process, the signal. The process of an exec leads a session of its own.
CODE = """
import os, pathlib, signal, sys

container, leader, number = sys.argv[1], int(sys.argv[2]), getattr(signal, sys.argv[3])

def processes():
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if container in (folder / "cgroup").read_text():
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                yield int(folder.name), int(fields[1]), int(fields[3])
        except OSError:
            pass  # it has exited

def wanted():
    found, before = {leader}, None
    known = list(processes())
    while found != before:
        before = set(found)
        found |= {pid for pid, parent, session in known if parent in found or session == leader}
    return found & {pid for pid, _, _ in known}

sent = set()
while new := wanted() - sent:
    for pid in new:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
    sent |= new
"""


def kill_exec(container: Container, process: int, signal_name: str, image: str) -> None:
    """Sends a signal to an exec'd process of the container and to its descendants.

    A descendant that has left the session, and whose parent has exited, isn't found. ``image`` is an image
    with Python. Raises EnvironmentFailure.
    """
    sdk_call(
        client_of(container).containers.run,
        image,
        entrypoint=["python3", "-I", "-c", CODE, container.id, str(process), signal_name],
        user="0",
        pid_mode="host",
        userns_mode="host",
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=["KILL"],
        read_only=True,
        remove=True,
        labels={PROJECT_LABEL: container.labels.get(PROJECT_LABEL, "")},
    )
