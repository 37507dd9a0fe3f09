"""An inventory: real machines in place of a lab's containers, as TOML. No I/O.

user = "alice"                       # keys at the top are the defaults of all machines
key = "~/.ssh/id_ed25519"

[machines.client]
address = "192.0.2.10"

[machines.server]
address = "192.0.2.20"
host_key = "SHA256:…"                # without it, known_hosts must have the machine's key
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.errors import UsageError
from lab.locale import Message, message
from lab.topology.node import Interface, Node, without_length
from lab.topology.reading import toml

# The keys that are also allowed at the top of the file, with their defaults; None: there is no default.
SHARED: Mapping[str, str | int | None] = {
    "user": None,
    "key": "~/.ssh/id_ed25519",
    "known_hosts": "~/.ssh/known_hosts",
    "port": 22,
    "python": "python3",
    "segment": "lan",
}
OWN: Mapping[str, str | list[str] | None] = {
    "address": None,
    "address6": "",
    "aliases": [],
    "ssh": "",
    "host_key": "",
}
NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
HOST_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}=?|(ssh|ecdsa)-[a-z0-9-]+ [A-Za-z0-9+/]+=*( .*)?")
KINDS = {str: message("a string"), int: message("a number"), list: message("a list of strings")}


@dataclass(frozen=True)
class Machine:
    """A machine: its node, and how the controller logs in to it.

    ``host_key`` is a fingerprint ("SHA256:…") or a public key ("ssh-ed25519 AAAA…"). If it is "", the file
    ``known_hosts`` must have the key. Paths are as written in the inventory.
    """

    node: Node
    ssh: str  # the name or address of its SSH server
    port: int
    user: str
    key: str
    known_hosts: str
    host_key: str
    python: str  # the interpreter


class InventoryError(UsageError, ValueError):
    """A mistake in an inventory: "FILE:LINE: problem; remedy"."""


def parse(text: str, file: str) -> tuple[Machine, ...]:
    """The machines of the inventory ``text``, in the order of the file. Raises InventoryError."""
    return _Inventory(text, file).machines()


class _Inventory:
    def __init__(self, text: str, file: str) -> None:
        self._file = file
        try:
            self._content, self._lines = toml.load(text)
        except toml.TomlError as error:
            raise self._error(error.line, "", error.problem, error.remedy) from None

    def machines(self) -> tuple[Machine, ...]:
        content = dict(self._content)
        tables = content.pop("machines", None)
        if not isinstance(tables, dict) or not tables:
            raise self._mistake(
                (),
                message("the inventory has no machines"),
                message('add [machines.NAME] with address = "…"'),
            )
        shared = self._checked((), content, SHARED)
        machines = tuple(self._machine(name, table, shared) for name, table in tables.items())
        self._refuse_duplicates(machines)
        return machines

    def _machine(self, name: str, table: object, shared: Mapping[str, Any]) -> Machine:
        place = ("machines", name)
        if not isinstance(table, dict):
            raise self._mistake(
                place, message("it isn't a table"), message("write [machines.{name}]", name=name)
            )
        values = {**SHARED, **OWN, **shared, **self._checked(place, table, {**SHARED, **OWN})}
        for key in ("address", "user"):
            if not values[key]:
                raise self._mistake(
                    place, message("{key} is missing", key=key), message('add {key} = "…"', key=key)
                )
        self._check_values(place, values, table)
        return Machine(
            node=_node(name, values),
            ssh=values["ssh"] or without_length(values["address"]),
            **{key: values[key] for key in ("port", "user", "key", "known_hosts", "host_key", "python")},
        )

    def _checked(
        self, place: tuple[str, ...], table: Mapping[str, Any], known: Mapping[str, Any]
    ) -> dict[str, Any]:
        """The table; each of its keys is known and has a value of the right type."""
        for key, value in table.items():
            if key not in known:
                remedy = message("the keys are {known}", known=", ".join(known))
                raise self._mistake((*place, key), message("unknown key {key!r}", key=key), remedy)
            kind = type(known[key] if known[key] is not None else "")
            items = value if isinstance(value, list) else []
            if type(value) is not kind or not all(isinstance(item, str) for item in items):
                problem = message("{key} isn't {kind}", key=key, kind=KINDS[kind])
                raise self._mistake(
                    (*place, key), problem, message("the default is {value!r}", value=known[key])
                )
        return dict(table)

    def _check_values(
        self, place: tuple[str, ...], values: Mapping[str, Any], own: Mapping[str, Any]
    ) -> None:
        """Checks the values of a machine. Those in ``own`` are from its table, the others from the top."""

        def require(key: str, valid: bool, remedy: Message) -> None:
            if not valid:
                problem = message("{key} {value!r} isn't valid", key=key, value=values[key])
                raise self._mistake((*place, key) if key in own else (key,), problem, remedy)

        require("address", _is_address(values["address"], 4), message('write an IPv4 address: "192.0.2.10"'))
        address6 = values["address6"]
        require(
            "address6",
            not address6 or _is_address(address6, 6),
            message('write an IPv6 address: "2001:db8::10"'),
        )
        require("port", 0 < values["port"] < 65536, message("a port is 1 to 65535"))
        host_key = values["host_key"]
        require(
            "host_key",
            not host_key or bool(HOST_KEY.fullmatch(host_key)),
            message('write its fingerprint, "SHA256:…", or its public key, "ssh-ed25519 AAAA…"'),
        )
        for name in (place[-1], *values["aliases"]):
            if not NAME.fullmatch(name):
                problem = message("{name!r} isn't a host name", name=name)
                raise self._mistake(place, problem, message("use a-z, 0-9 and hyphens"))

    def _refuse_duplicates(self, machines: Iterable[Machine]) -> None:
        for attribute in ("names", "addresses", "addresses6"):
            owners: dict[str, str] = {}
            for machine in machines:
                for value in getattr(machine.node, attribute):
                    if value in owners:
                        problem = message(
                            "{value} belongs to {name} already", value=value, name=owners[value]
                        )
                        remedy = message("use each name and each address for one machine only")
                        raise self._mistake(("machines", machine.node.name), problem, remedy)
                    owners[value] = machine.node.name

    def _mistake(self, place: tuple[str, ...], problem: Message, remedy: Message) -> InventoryError:
        machine = f"{'.'.join(place[:2])}: " if place[:1] == ("machines",) else ""
        return self._error(self._lines[place], machine, problem, remedy)

    def _error(self, line: int, machine: str, problem: Message, remedy: Message) -> InventoryError:
        return InventoryError(
            message(
                "{file}:{line}: {place}{problem}; {remedy}",
                file=self._file,
                line=line,
                place=machine,
                problem=problem,
                remedy=remedy,
            )
        )


def _node(name: str, values: Mapping[str, Any]) -> Node:
    interface = Interface(values["segment"], values["address"], values["address6"])
    names = tuple(Counter([name, *values["aliases"]]))  # each once, in this order
    return Node(name=name, role="host", names=names, interfaces=(interface,))


def _is_address(text: str, version: int) -> bool:
    """True for the address of a host, with or without a prefix length."""
    try:
        return ipaddress.ip_interface(text).version == version
    except ValueError:
        return False
