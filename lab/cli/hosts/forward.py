"""`lab forward`: a service of a host at an address of this machine."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli import completion
from lab.cli.errors import errors_in_one_line, print_error
from lab.cli.options import AsJson, File, Project, Quiet, lab_name
from lab.errors import EnvironmentFailure, UsageError
from lab.locale import _, from_environment, message

if TYPE_CHECKING:
    from lab.cli.hosts.target import Target

LOOPBACK = "127.0.0.1"
BACKLOG = 128


@dataclass(frozen=True)
class Request:
    """An argument [LOCAL:]HOST:PORT. ``local`` is None if the port isn't given, 0 for any free one."""

    local: int | None
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Request:
        """Raises UsageError."""
        local, host, port = ["", *text.split(":")][-3:] if text.count(":") in (1, 2) else ("", "", "")
        if not host or not _is_port(port, lowest=1) or (text.count(":") == 2 and not _is_port(local)):
            raise UsageError(
                message("{text!r} isn't [LOCAL:]HOST:PORT, such as web:80 or 8080:web:80", text=text)
            )
        return cls(int(local) if local else None, host, int(port))


def forward(
    services: Annotated[
        list[str],
        typer.Argument(
            metavar="[LOCAL:]HOST:PORT",
            help=_("A port of a host, optionally with the local port. By default it is the same, if free."),
            autocompletion=completion.paths,
        ),
    ],
    bind: Annotated[
        str,
        typer.Option(
            metavar="ADDRESS",
            help=_("The local address. Other machines can use the service if it isn't a loopback address."),
        ),
    ] = LOOPBACK,
    as_json: AsJson = False,
    quiet: Quiet = False,
    project: Project = None,
    file: File = None,
) -> None:
    from lab.cli.hosts.target import targets_of  # not at the top: completion imports this module

    with errors_in_one_line(), ExitStack() as stack:
        requests = [Request.parse(text) for text in services]
        targets = stack.enter_context(targets_of(lab_name(project, file)))
        for request, target in [(request, targets[request.host]) for request in requests]:
            listener = stack.enter_context(_listener(bind, request))
            _start(stack, request, target, listener)
            if not quiet:
                _show(request, listener, as_json)
        with suppress(KeyboardInterrupt):  # the usual end
            threading.Event().wait()


def _start(stack: ExitStack, request: Request, target: Target, listener: socket.socket) -> None:
    from lab.remote.forwarding import Forwarder, HostPort

    node = target.node
    addresses = [LOOPBACK, *node.addresses, "::1", *node.addresses6]
    service = HostPort(target.dial, addresses, request.port)
    stack.callback(service.close)
    service.prepare()
    Forwarder(listener, service, partial(_report, f"{request.host}:{request.port}"))


def _listener(bind: str, request: Request) -> socket.socket:
    """The local socket. The default for the local port is the host's port if that is free, else any free one.

    Raises EnvironmentFailure.
    """
    wanted = [request.port, 0] if request.local is None else [request.local]
    for port in wanted:
        try:
            family, kind, protocol, _name, address = socket.getaddrinfo(
                bind, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            return _listening(socket.socket(family, kind, protocol), address)
        except OSError as error:
            if port == wanted[-1]:
                raise EnvironmentFailure(f"{bind}:{port}: {error.strerror or error}") from error
    raise AssertionError("one port at least is tried")


def _listening(listener: socket.socket, address: tuple[object, ...]) -> socket.socket:
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def _show(request: Request, listener: socket.socket, as_json: bool) -> None:
    address, port = listener.getsockname()[:2]
    if as_json:
        found = {"address": address, "port": port, "host": request.host, "host_port": request.port}
        print(json.dumps(found), flush=True)
    else:
        shown = f"[{address}]" if ":" in address else address
        text = message(
            "{address}:{port} → {host}:{host_port}; Ctrl-C ends it",
            address=shown,
            port=port,
            host=request.host,
            host_port=request.port,
        )
        print(text.in_language(from_environment()), flush=True)


def _report(service: str, error: EnvironmentFailure) -> None:
    print_error(f"{service}: {error.in_language(from_environment())}")


def _is_port(text: str, lowest: int = 0) -> bool:
    return text.isascii() and text.isdigit() and lowest <= int(text[:6]) <= 65535
