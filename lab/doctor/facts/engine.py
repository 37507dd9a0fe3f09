"""The engine that the lab would use, or the reason why it doesn't answer."""

from __future__ import annotations

import errno
import getpass
import grp
import os
import socket
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import docker
from docker.errors import DockerException

from lab.doctor.checks.engine import OLDEST, EngineFacts, Refusal, numbers
from lab.doctor.facts.commands import find
from lab.engine.client import Engine
from lab.engine.http.api import ApiError
from lab.errors import EnvironmentFailure

DEFAULT = "unix:///var/run/docker.sock"
TIMEOUT = 10  # seconds for one request to an engine that is too old
REFUSALS = {
    errno.ENOENT: Refusal.NO_SOCKET,
    errno.ECONNREFUSED: Refusal.NOBODY_LISTENS,
    errno.EACCES: Refusal.NO_PERMISSION,
    errno.EPERM: Refusal.NO_PERMISSION,
}


@contextmanager
def opened(environ: Mapping[str, str] = os.environ) -> Iterator[tuple[Engine | None, EngineFacts]]:
    """The engine with the facts about it; None in its place if none answers, or if it is too old."""
    facts = _selected(environ)
    with ExitStack() as stack:
        engine = None
        try:
            engine = stack.enter_context(Engine())
            facts = replace(facts, version=engine.version())
            if numbers(facts.version) < OLDEST:
                engine = None
            else:
                facts = replace(facts, info=engine.info(), received=time.time(), bridge=_bridge(engine))
                facts = replace(facts, has_bridge=facts.bridge in ("", *_interfaces()))
        except EnvironmentFailure as error:
            engine, facts = None, _refused(facts, error)
            if isinstance(error.__cause__, ApiError):  # it answers, but doesn't know the requests
                facts = replace(facts, version=_version(facts.address))
        yield engine, facts


def _version(address: str) -> str:
    """The version of an engine that refuses this version of the Engine API; "" if it isn't reported."""
    try:
        with closing(docker.DockerClient(base_url=address, version="auto", timeout=TIMEOUT)) as client:
            return str(client.version()["Version"])
    except (DockerException, OSError, KeyError):
        return ""


def _bridge(engine: Engine) -> str:
    """The device of the engine's default network; "" if it has none."""
    found = [each for each in engine.api.get("/networks") if each["Name"] == "bridge"]
    options = (found[0]["Options"] or {}) if found else {}
    return str(options.get("com.docker.network.bridge.name", ""))


def _interfaces() -> list[str]:
    return [name for _, name in socket.if_nameindex()]


def _selected(environ: Mapping[str, str]) -> EngineFacts:
    """The engine that the environment selects, before it is asked anything."""
    variable = environ.get("DOCKER_HOST", "")
    name, address = "", variable
    if not variable:
        name, address = _context()
    return EngineFacts(
        address=address,
        variable=variable,
        context="" if name == "default" else name,
        installed=find("dockerd") is not None,
        systemd=Path("/run/systemd/system").is_dir(),
    )


def _context() -> tuple[str, str]:
    """The name and the address of the current Docker context."""
    try:
        context = docker.ContextAPI.get_current_context()
    except (DockerException, OSError, ValueError):
        context = None
    if context is None:
        return "", DEFAULT
    return context.Name or "", (context.Host or DEFAULT).replace("http+unix://", "unix://")


def _refused(facts: EngineFacts, error: EnvironmentFailure) -> EngineFacts:
    cause = next(_os_errors(error), None)
    refusal = REFUSALS.get(cause.errno or 0, Refusal.OTHER) if cause else Refusal.OTHER
    reason = cause.strerror if cause and cause.strerror else _last(error)
    return replace(
        facts,
        version="",
        refusal=refusal,
        reason=reason,
        user=_user(),
        in_group=refusal is Refusal.NO_PERMISSION and _user() in _group(facts.address),
    )


def _os_errors(error: BaseException | None) -> Iterator[OSError]:
    """The errors of the operating system that led to ``error``. Libraries put them into their arguments."""
    while error is not None:
        for each in (error, *error.args):
            if isinstance(each, OSError) and each.errno is not None:
                yield each
        error = error.__cause__ or error.__context__


def _last(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return next(iter(str(error).splitlines()), type(error).__name__)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no entry in /etc/passwd
        return str(os.getuid())


def _group(address: str) -> list[str]:
    """The users in the group of the engine's socket, unless that is root's."""
    path = address.removeprefix("unix://")
    try:
        status = os.stat(path)
        if status.st_gid == 0 or not status.st_mode & stat.S_IWGRP:
            return []
        return grp.getgrgid(status.st_gid).gr_mem
    except (OSError, KeyError):
        return []
