"""Real machines as hosts of a lab. Faults and programs that they can't have are Unsupported."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from lab.control.agent import COMMAND_ALONE
from lab.control.host import Command, Host
from lab.control.lab import CLAIM, Lab
from lab.control.process import HelperProcess
from lab.control.program import CommandFailed, Program, Result
from lab.errors import EnvironmentFailure, Unsupported
from lab.evidence.events import Observe
from lab.locale import message
from lab.remote.machine_connection import ARGV0, MachineConnection, Survey

IMAGE = "/usr/lib/socketlab/"  # the programs of our images, which run as root
# The shell's message about a program that isn't there: "socketlab: line 1: ss: command not found".
MISSING = re.compile(rf"^{ARGV0}: (?:line )?\d+: (\S+): (?:command )?not found$", re.MULTILINE)


class Machine(Host):
    """A machine of an inventory, with the user's own permissions."""

    agent_command = COMMAND_ALONE
    ssh_for_scenarios = False  # the controller uses the same address as the programs

    def run(self, command: Command, **options: Any) -> Result:
        """As ``Host.run``. Raises Unsupported if a program that the command needs isn't installed."""
        try:
            result = super().run(command, **options)
        except CommandFailed as error:
            self._require_programs(error.result)
            raise
        self._require_programs(result)
        return result

    @contextmanager
    def cable_pulled(self) -> Iterator[None]:
        raise Unsupported(
            message("{machine} is a real machine: its cable can't be pulled", machine=self.title)
        )
        yield

    @contextmanager
    def disk_full(self, free: int = 0) -> Iterator[str]:
        raise Unsupported(
            message("{machine} is a real machine: its disk can't be filled", machine=self.title)
        )
        yield

    def capture_problem(self) -> str:
        return self._survey().capture

    def capture_filter(self, addresses: Sequence[str]) -> str:
        """Packets between the machines of the inventory, and errors about them; not the controller's own."""
        source, destination = (" or ".join(f"{end} host {a}" for a in addresses) for end in ("src", "dst"))
        errors = " or ".join(f"icmp[icmptype] = {kind}" for kind in ("icmp-unreach", "icmp-timxceed"))
        lab = f"({source}) and ({destination} or ether multicast) or {errors}"
        controller, _, _, port = self._survey().controller
        return f"({lab}) and not (tcp port {port} and host {controller})"

    @property
    def hostname(self) -> str:
        """The machine's own host name."""
        return self._survey().hostname

    def _survey(self) -> Survey:
        connection = self.connect()
        assert isinstance(connection, MachineConnection)
        return connection.survey

    def restore(self) -> None:
        """Does nothing: no fault of a machine is left behind."""

    @contextmanager
    def _started(
        self, command: Command, announce: str | None, timeout: float, observe: Observe
    ) -> Iterator[Program]:
        with ExitStack() as stack:
            try:
                program = stack.enter_context(super()._started(command, announce, timeout, observe))
            except CommandFailed as error:
                self._require_programs(error.result)
                raise
            yield program

    def _execute(self, command: Command, timeout: float, observe: Observe) -> Program:
        if IMAGE in (command if isinstance(command, str) else " ".join(command)):
            raise Unsupported(
                message(
                    "{machine} is a real machine: the programs that need root are only in the lab's images",
                    machine=self.title,
                )
            )
        return super()._execute(command, timeout, observe)

    def _require_programs(self, result: Result) -> None:
        if found := MISSING.search(result.stderr):
            raise Unsupported(message("{machine} has no {program}", machine=self.title, program=found[1]))


class NoSuchMachine(Unsupported, AttributeError):
    """The scenario needs a host that the inventory doesn't have. An AttributeError, as NoSuchNode."""


class MachineLab(Lab):
    """The machines of an inventory. They have no router whose link could be impaired."""

    is_inventory = True

    def __getitem__(self, name: str) -> Host:
        if name not in self._by_name:
            raise NoSuchMachine(
                message(
                    "the inventory has no machine {name!r}; it has {known}",
                    name=name,
                    known=", ".join(sorted(self._by_name)),
                )
            )
        return super().__getitem__(name)

    def require(self, need: str) -> None:
        if need == "ssh":
            raise Unsupported(message("the machines have no key to log in to each other"))
        for host in self.hosts:
            if need == "hostname" and isinstance(host, Machine) and host.hostname != host.title:
                raise Unsupported(
                    message(
                        "the host name of {machine} is {name}, and the scenario prints it",
                        machine=host.title,
                        name=host.hostname,
                    )
                )
            if need == "ipv6" and not host.address6:
                raise Unsupported(message("{machine} has no address6 in the inventory", machine=host.title))

    def _claim(self, stack: ExitStack) -> list[HelperProcess]:
        """Reserves all machines. Raises EnvironmentFailure if another run uses one of them."""
        programs = []
        for host in self.hosts:
            program = stack.enter_context(host.claimed(CLAIM))
            if program is None:
                raise EnvironmentFailure(
                    message("{machine}: another run uses it: wait until it ends", machine=host.title)
                )
            programs.append(program)
        return programs
