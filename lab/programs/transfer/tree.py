"""put and get for several names and whole directories."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from itertools import islice
from typing import TypeVarTuple

from lab.locale import _
from lab.programs.console import ENVIRONMENT, USAGE, Failure
from lab.programs.transfer.client import Client
from lab.programs.transfer.progress import Report
from lab.programs.transfer.storage.root import Root
from lab.protocols.errors import LocalProtocolError, ProtocolError
from lab.protocols.names import Path, shown, split_path
from lab.protocols.printable import printable
from lab.protocols.transfer import Entry, Refusal

MAX_ENTRIES = 1_000_000  # of one directory, so that a server can't exhaust our memory
_FATAL = ("no-space", "busy", "timeout", "read-only")  # the next file would fail too
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # O_NONBLOCK: opening a FIFO doesn't block

Arguments = TypeVarTuple("Arguments")


class Upload:
    """Stores local files and directories on the server."""

    def __init__(self, client: Client, report: Report, *, recursive: bool, resume: bool) -> None:
        self._client = client
        self._report = report
        self._recursive = recursive
        self._resume = resume

    def put(self, sources: list[str], to: str) -> None:
        """Like cp: into ``to`` if it is a directory, otherwise under that name."""
        base = split_path(to)
        into = not base or to.endswith("/") or len(sources) > 1 or self._is_directory(base)
        for source in sources:
            name = os.path.basename(os.path.abspath(source))
            self._put_named(source, (*base, name) if into else base)

    def _is_directory(self, path: Path) -> bool:
        try:
            return self._client.stat(path).kind == "directory"
        except Refusal as refusal:
            if refusal.code != "not-found":
                raise
            return False

    def _put_named(self, source: str, target: Path) -> None:
        mode = os.stat(source).st_mode
        if not stat.S_ISDIR(mode):
            self._put_file(source, target)
        elif self._recursive:
            self._put_tree(source, target)
        else:
            raise Failure(_("{path}: is a directory; use -r").format(path=source), USAGE)

    def _put_tree(self, source: str, target: Path) -> None:
        self._client.make_directory(target, parents=True)
        with os.scandir(source) as scan:
            items = sorted(scan, key=lambda item: item.name)
        for item in items:
            below = (*target, item.name)
            if item.is_symlink():
                self._report.skip(printable(item.path), "a symbolic link")
            elif item.is_dir():
                attempt(self._report, printable(item.path), self._put_tree, item.path, below)
            else:
                attempt(self._report, printable(item.path), self._put_file, item.path, below, os.O_NOFOLLOW)

    def _put_file(self, source: str, target: Path, flags: int = 0) -> None:
        with open(os.open(source, _OPEN | flags), "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Failure(_("{path}: not a regular file").format(path=printable(source)), ENVIRONMENT)
            on_progress = self._report.begin(source, status.st_size)
            try:
                outcome = self._client.put(file, target, on_progress, resume=self._resume)
            except ProtocolError as error:
                if error.code == "file-changed":
                    raise ProtocolError(error.code, f"{printable(source)}: {error}") from None
                raise
        self._report.end("stored", source, shown(target), outcome)


class Download:
    """Fetches files and directories from the server."""

    def __init__(self, client: Client, report: Report, *, recursive: bool, resume: bool) -> None:
        self._client = client
        self._report = report
        self._recursive = recursive
        self._resume = resume

    def get(self, sources: list[str], to: str) -> None:
        """Like cp: into ``to`` if it is a directory, otherwise under that name."""
        paths = [split_path(source) for source in sources]
        into = to.endswith("/") or len(sources) > 1 or os.path.isdir(to)
        directory, name = (to, "") if into else os.path.split(to)
        with Root(directory) as root:
            self._root, self._prefix = root, directory
            for path in paths:
                self._get_named(path, path[-1:] if into else (name,))

    def _get_named(self, path: Path, target: Path) -> None:
        status = self._client.stat(path)
        if status.kind != "directory":
            self._get_file(path, target, status.size)
        elif self._recursive:
            self._get_tree(path, target)
        else:
            raise Failure(_("{path}: is a directory; use -r").format(path=shown(path)), USAGE)

    def _get_tree(self, path: Path, target: Path) -> None:
        self._root.make_directory(target, parents=True)
        entries = list(islice(self._client.entries(path), MAX_ENTRIES + 1))
        if len(entries) > MAX_ENTRIES:
            raise Failure(
                _("{path}: more than {limit} entries in one directory").format(
                    path=shown(path), limit=MAX_ENTRIES
                )
            )
        for entry in entries:
            self._get_entry(entry, (*path, entry.name), (*target, entry.name))

    def _get_entry(self, entry: Entry, path: Path, target: Path) -> None:
        if entry.kind == "directory":
            attempt(self._report, shown(path), self._get_tree, path, target)
        elif entry.kind == "file":
            attempt(self._report, shown(path), self._get_file, path, target, entry.size)
        else:
            why = {"symlink": "a symbolic link", "unnamable": "the name can't be sent"}
            self._report.skip(shown(path), why.get(entry.kind, "not a regular file"))

    def _get_file(self, path: Path, target: Path, size: int) -> None:
        on_progress = self._report.begin(shown(path), size)
        outcome = self._client.get(path, self._root, target, on_progress, resume=self._resume)
        where = os.path.normpath(os.path.join(self._prefix, *target))
        self._report.end("fetched", shown(path), where, outcome)


def attempt(
    report: Report, name: str, transfer: Callable[[*Arguments], None], *arguments: *Arguments
) -> None:
    """Transfers one file of a tree. An error that concerns only this file is reported, and the others are
    still transferred.
    """
    try:
        transfer(*arguments)
    except Refusal as refusal:
        if refusal.code in _FATAL:
            raise
        report.skip(name, refusal)
    except (LocalProtocolError, Failure) as error:
        report.skip(name, error)
    except (PermissionError, FileNotFoundError) as error:  # of a local file
        report.skip(name, error)
