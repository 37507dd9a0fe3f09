"""Makes a topology of a TOML document, and collects the mistakes in its values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from os.path import expanduser, normpath
from pathlib import Path
from typing import Any, TypeVar

from lab.locale import Message, message
from lab.topology import errors
from lab.topology.errors import Mistake, suggestion
from lab.topology.model import Attachment, Host, Mount, Router, Segment, Topology, Workload
from lab.topology.reading.keys import HOST, LAB, ROUTER, SEGMENT, Keys
from lab.topology.reading.project_name import allowed_name, described_name
from lab.topology.reading.values import Checker, Wrong, table

Values = Mapping[str, Any]  # the checked values of a table

T = TypeVar("T")


class Builder:
    """Makes a topology of the content of a TOML document. ``mistakes`` has those found in its values.

    Relative paths are relative to ``folder``.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segments: dict[str, Segment] = {}
        self.mistakes: list[Mistake] = []

    def topology(self, content: object, name: str) -> Topology:
        """The topology; its name is ``name`` unless it has one itself."""
        values = self._values(content, (), LAB)
        self._segments = {
            name: self._segment(name, each) for name, each in values.get("segments", {}).items()
        }
        return Topology(
            values.get("name") or allowed_name(described_name(values, name)) or "lab",
            tuple(self._segments.values()),
            tuple(self._host(name, each) for name, each in self._tables(values, "hosts", HOST)),
            tuple(self._router(name, each) for name, each in self._tables(values, "routers", ROUTER)),
            values.get("mgmt", ""),
            self._path(values.get("compose", "")),
        )

    def _values(self, content: object, path: errors.Path, keys: Keys) -> dict[str, Any]:
        """The checked values of a table, without those that have a mistake."""
        checked = {}
        for key, value in (self._checked(table, content, path) or {}).items():
            if key in keys:
                checked[key] = self._checked(keys[key], value, (*path, key))
            else:
                self._mistake((*path, key), message("unknown key"), suggestion(key, keys))
        return {key: value for key, value in checked.items() if value is not None}

    def _checked(self, checker: Checker[T], value: object, path: errors.Path) -> T | None:
        try:
            return checker(value)
        except Wrong as wrong:
            self._mistake((*path, *wrong.path), wrong.problem, wrong.remedy)
            return None

    def _mistake(self, path: errors.Path, problem: Message, remedy: Message) -> None:
        self.mistakes.append(Mistake(path, problem, remedy))

    def _tables(self, values: Values, key: str, keys: Keys) -> Iterator[tuple[str, dict[str, Any]]]:
        for name, content in values.get(key, {}).items():
            yield name, self._values(content, (key, name), keys)

    def _segment(self, name: str, content: object) -> Segment:
        """A segment: a table, or its IPv4 prefix alone."""
        content = {"prefix": content} if isinstance(content, str) else content
        return Segment(name, **self._values(content, ("segments", name), SEGMENT))

    def _host(self, name: str, values: Values) -> Host:
        workload = self._workload(name, values)
        return Host(
            name,
            self._attachments(("hosts", name), name, values),
            values.get("aliases", ()),
            values.get("count", 1),
            values.get("profile", ""),
            values.get("base", ""),
            tuple(self._mount(mount) for mount in values.get("mounts", ())),
            {} if workload else values.get("environment", {}),
            workload,
        )

    def _router(self, name: str, values: Values) -> Router:
        return Router(
            name,
            self._attachments(("routers", name), "", values),
            values.get("aliases", ()),
            values.get("nat", ()),
            values.get("forward", ()),
            values.get("routes", {}),
        )

    def _workload(self, name: str, values: Values) -> Workload | None:
        workload = Workload(
            values.get("image", ""),
            self._path(values.get("build", "")),
            values.get("service", ""),
            values.get("command"),
            values.get("environment", {}),
            values.get("ready"),
            values.get("reset", False),
        )
        if workload.image or workload.build or workload.service:
            return workload
        for key in ("command", "ready", "reset"):
            if key in values:
                self._mistake(
                    ("hosts", name, key),
                    message("it requires your own container on the host"),
                    message("add image, build or service, or remove the key"),
                )
        return None

    def _mount(self, mount: Mount) -> Mount:
        return replace(mount, source=self._path(mount.source))

    def _path(self, path: str) -> str:
        """The absolute path; a leading ~ is the user's home."""
        return path and normpath(self._folder / expanduser(path))

    def _attachments(self, path: errors.Path, own: str, values: Values) -> tuple[Attachment, ...]:
        """The interfaces of a node. ``own`` is the segment of a host without one, if it has an address."""
        if "segment" in values and "segments" in values:
            self._mistake(
                (*path, "segment"),
                message("segment and segments exclude each other"),
                message("put all of them into segments"),
            )
        segments = values.get("segments") or [each for each in [values.get("segment")] if each]
        addresses = values.get("address", ())
        if not segments and addresses:
            segments = [own]
        attachments = {segment: Attachment(segment) for segment in segments}
        for index, address in enumerate(addresses):
            self._assign(attachments, address, (*path, "address", str(index)))
        return tuple(attachments[segment] for segment in segments)

    def _assign(self, attachments: dict[str, Attachment], address: str, path: errors.Path) -> None:
        """Gives an address to the interface on the segment that it belongs to."""
        if not attachments:
            return
        segment = next((name for name in attachments if self._has(name, address)), next(iter(attachments)))
        key = "address6" if ":" in address else "address"
        if getattr(attachments[segment], key):
            self._mistake(
                path,
                message("there is another address on the segment {name!r}", name=segment),
                message("remove one"),
            )
        attachments[segment] = replace(attachments[segment], **{key: address})

    def _has(self, name: str, address: str) -> bool:
        segment = self._segments.get(name, Segment(name))
        try:
            networks = [ip_network(prefix) for prefix in (segment.prefix, segment.prefix6) if prefix]
            return any(ip_address(address) in network for network in networks)
        except ValueError:
            return False
