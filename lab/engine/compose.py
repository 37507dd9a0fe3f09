"""`docker compose` as a process that never outlives the one that started it."""

from __future__ import annotations

import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from tempfile import TemporaryFile
from typing import IO, TypeAlias

from lab.errors import EnvironmentFailure
from lab.locale import message

Report: TypeAlias = Callable[[str], None]  # gets each line of progress as it is known


class Notice(str):
    """A line of progress that the user should be able to read afterwards."""


INTERRUPT_TIMEOUT = 15.0  # seconds for Compose to exit after a Ctrl-C
OUTPUT_LINES = 15  # of a failed command, in the error's text
# A step of the start, such as " Container lab-web-1  Started": it doesn't explain a failure.
PROGRESS = re.compile(r"\s*(Container|Network|Volume|Image) \S+\s+[A-Z][a-z]+\s*")
# The engine's refusals of a subnet, from its address management and from its bridge driver.
OVERLAPS = ("Pool overlaps with other one on this address space", "networks have overlapping IPv")
# The user's settings that would give Compose another file, or other services.
NOT_FOR_THE_LAB = ("COMPOSE_FILE", "COMPOSE_PROFILES", "COMPOSE_ENV_FILES", "COMPOSE_REMOVE_ORPHANS")


class PrefixTaken(EnvironmentFailure):
    """The engine refused to create a network: another one has its prefix."""


def silent(_: str) -> None:
    """Reports nothing."""


def users_environment() -> dict[str, str]:
    """The environment of this process, as far as it is meant for the Compose project of a lab."""
    return {name: value for name, value in os.environ.items() if name not in NOT_FOR_THE_LAB}


def run_compose(
    argv: Sequence[str],
    environment: Mapping[str, str],
    *,
    text: str = "",
    report: Report = silent,
    started: Callable[[], object] = lambda: None,
    timeout: float,
) -> None:
    """Runs Compose with ``text`` on its standard input; ``report`` gets each line of its output.

    ``started`` is called as soon as Compose runs.

    If this is interrupted, it returns only after Compose has exited, with all its processes. Raises
    PrefixTaken if the engine refused a prefix, otherwise EnvironmentFailure with the last lines.
    """
    # All processes of Compose hold the writing end: end of file means that they have exited.
    alive, held = os.pipe()
    try:
        child = _started(argv, environment, text, held)
    except FileNotFoundError as error:
        os.close(alive)
        raise EnvironmentFailure(message("docker is not installed; `lab doctor` names the remedy")) from error
    finally:
        os.close(held)
    output: list[str] = []
    assert child.stdout is not None
    try:
        started()
        for line in _lines(child.stdout, time.monotonic() + timeout):
            output.append(line)
            report(line)
        child.wait()
    except BaseException as error:
        child.terminate()  # a Ctrl-C in a terminal has reached it already; a second signal does no harm
        select.select([alive], [], [], INTERRUPT_TIMEOUT)
        child.kill()
        child.wait()
        if isinstance(error, TimeoutError):
            raise EnvironmentFailure(
                message("Compose didn't finish within {timeout:g} s", timeout=timeout)
            ) from None
        raise
    finally:
        child.stdout.close()
        os.close(alive)
    if child.returncode != 0:
        raise _failure(output, child.returncode)


def _started(
    argv: Sequence[str], environment: Mapping[str, str], text: str, held: int
) -> subprocess.Popen[bytes]:
    with TemporaryFile() as stdin:  # a pipe would block if Compose doesn't read it
        stdin.write(text.encode())
        stdin.seek(0)
        return subprocess.Popen(
            _with_death_signal(argv),
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[held],
        )


def _with_death_signal(argv: Sequence[str]) -> list[str]:
    """The command with a parent-death signal: the kernel terminates it if this process is killed."""
    setpriv = shutil.which("setpriv")  # util-linux
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else [*argv]


def _lines(stream: IO[bytes], deadline: float) -> Iterator[str]:
    """The lines of a stream as they arrive. Raises TimeoutError at the deadline."""
    rest = b""
    while True:
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise TimeoutError
        data = os.read(stream.fileno(), 1 << 16)
        *lines, rest = (rest + data).split(b"\n")
        if not data and rest:
            lines, rest = [rest], b""
        yield from (line.decode(errors="replace").rstrip() for line in lines)
        if not data:
            return


def _failure(output: Sequence[str], code: int) -> EnvironmentFailure:
    lines = [line for line in output if not PROGRESS.fullmatch(line)]
    text = "\n".join(lines[-OUTPUT_LINES:]).strip() or f"docker compose: exit code {code}"
    refused = any(words in line for line in output for words in OVERLAPS)
    return (PrefixTaken if refused else EnvironmentFailure)(text)
