"""`docker compose` as a process that never outlives the one that started it."""

from __future__ import annotations

import os
import select
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from lab.errors import EnvironmentFailure
from lab.locale import message

INTERRUPT_TIMEOUT = 15.0  # seconds for Compose to exit after a Ctrl-C
OUTPUT_LINES = 15  # of a failed command, in the error's text


def run_compose(argv: Sequence[str], environment: Mapping[str, str], *, quiet: bool, timeout: float) -> None:
    """Runs Compose. With ``quiet`` its output is shown only if it fails.

    If this is interrupted, it returns only after Compose has exited, with all its processes.
    Raises EnvironmentFailure.
    """
    output = subprocess.PIPE if quiet else None
    # All processes of Compose hold the writing end: end of file means that they have exited.
    alive, held = os.pipe()
    try:
        child = subprocess.Popen(
            _ended_with_us(argv),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[held],
        )
    except FileNotFoundError as error:
        os.close(alive)
        raise EnvironmentFailure(message("docker is not installed; run scripts/setup")) from error
    finally:
        os.close(held)
    try:
        stdout, stderr = child.communicate(timeout=timeout)
    except BaseException as error:
        child.terminate()  # a Ctrl-C in a terminal has reached it already; a second signal does no harm
        select.select([alive], [], [], INTERRUPT_TIMEOUT)
        child.kill()
        child.communicate()
        if isinstance(error, subprocess.TimeoutExpired):
            raise EnvironmentFailure(
                message("Compose didn't finish within {timeout:g} s", timeout=timeout)
            ) from None
        raise
    finally:
        os.close(alive)
    if child.returncode != 0:
        raise EnvironmentFailure(
            _last_lines(stdout, stderr) or f"docker compose: exit code {child.returncode}"
        )


def _ended_with_us(argv: Sequence[str]) -> list[str]:
    """The command. The kernel terminates it if this process is killed, so that it creates nothing more."""
    setpriv = shutil.which("setpriv")  # util-linux
    return [setpriv, "--pdeathsig", "TERM", "--", *argv] if setpriv else [*argv]


def _last_lines(*outputs: bytes | None) -> str:
    text = b"".join(filter(None, outputs)).decode(errors="replace").strip()
    return "\n".join(text.splitlines()[-OUTPUT_LINES:])
