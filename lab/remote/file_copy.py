"""Sends and receives files as a tar stream, for `lab cp`: a program that runs at both ends.

It runs as `python3 -c`, on this machine, on a host, and beside a user's container, whose root it then enters.
So it uses the standard library only, and imports nothing after that.

The sender may be under the control of the programs under test: the receiver follows no symbolic link below
its destination, and creates nothing outside of it.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import stat
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import PurePosixPath
from typing import IO, NoReturn

CHUNK = 1 << 18
END = ".."  # the name of the last member: without it the stream is incomplete
WRONG_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)  # exit code 2, as for wrong usage
KINDS = {stat.S_IFREG: tarfile.REGTYPE, stat.S_IFDIR: tarfile.DIRTYPE, stat.S_IFLNK: tarfile.SYMTYPE}


def send(path: str, out: IO[bytes]) -> bool:
    """Writes a file or a folder as a tar stream. Returns False if a part of it can't be read.

    Its first line on standard error is {"total": BYTES}. Raises OSError.
    """
    top = os.path.basename(os.path.abspath(path)) or "root"
    entries = [(path, top, os.stat(path)), *_below(path, top)]
    total = sum(status.st_size for _, _, status in entries if stat.S_ISREG(status.st_mode))
    print(json.dumps({"total": total}), file=sys.stderr, flush=True)
    complete = True
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for source, name, status in entries:
            try:
                _add(archive, source, name, status)
            except OSError as error:
                complete = _report(f"{source}: {error.strerror or error}")
        archive.addfile(tarfile.TarInfo(END))
    return complete


def _below(folder: str, name: str) -> Iterator[tuple[str, str, os.stat_result]]:
    """Everything in a folder: path, name in the archive, status. Nothing if it is a file."""
    if not os.path.isdir(folder):
        return
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            status = entry.stat(follow_symlinks=False)
            yield entry.path, f"{name}/{entry.name}", status
            if stat.S_ISDIR(status.st_mode):
                yield from _below(entry.path, f"{name}/{entry.name}")


def _add(archive: tarfile.TarFile, source: str, name: str, status: os.stat_result) -> None:
    member = tarfile.TarInfo(name)
    kind = KINDS.get(stat.S_IFMT(status.st_mode))
    if kind is None:
        raise OSError(errno.EINVAL, "neither a file nor a folder")
    member.type, member.mode = kind, stat.S_IMODE(status.st_mode)
    if kind == tarfile.SYMTYPE:
        member.linkname = os.readlink(source)
    if kind != tarfile.REGTYPE:
        archive.addfile(member)
        return
    with open(source, "rb") as file:
        member.size = os.fstat(file.fileno()).st_size
        try:
            archive.addfile(member, file)
        except OSError as error:  # after its header: the stream is of no use any more
            _fail(error, source)


class Receiver:
    """Creates what a tar stream contains. ``destination`` is a folder, or the new name of its only entry."""

    def __init__(self, destination: str) -> None:
        """Raises OSError if there is no such folder."""
        folder, self._name = destination or ".", ""
        if not os.path.isdir(folder):
            folder, self._name = os.path.split(destination)
            if not self._name:
                raise NotADirectoryError(errno.ENOTDIR, "no such folder")
        self._root = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
        self._modes: list[tuple[list[str], int]] = []  # of new folders; set last, as they may be read-only

    def receive(self, stream: IO[bytes]) -> None:
        """Raises OSError if an entry can't be created, and EOFError if the stream is incomplete."""
        complete = False
        with tarfile.open(fileobj=stream, mode="r|", bufsize=CHUNK) as archive:
            for member in archive:
                complete = complete or member.name == END
                if not complete:
                    self._create(archive, member)
        for parts, mode in reversed(self._modes):
            with ExitStack() as stack:
                os.fchmod(self._open(stack, parts), mode)
        if not complete:
            raise EOFError

    def _create(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        parts = member.name.split("/")
        if not all(parts) or {".", ".."} & set(parts):
            raise OSError(errno.EINVAL, f"the sender named {member.name!r}")
        parts[0] = self._name or parts[0]
        with ExitStack() as stack:
            folder = self._open(stack, parts[:-1])
            if member.isdir():
                self._make_folder(folder, parts, member.mode & 0o777)
            elif member.issym():
                with _replacing(folder, parts[-1]) as temporary:
                    os.symlink(member.linkname, temporary, dir_fd=folder)
            elif member.isreg():
                with _replacing(folder, parts[-1]) as temporary:
                    _write(archive, member, folder, temporary)

    def _open(self, stack: ExitStack, parts: list[str]) -> int:
        """A folder below the destination, without following links."""
        folder = self._root
        for part in parts:
            folder = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            stack.callback(os.close, folder)
        return folder

    def _make_folder(self, folder: int, parts: list[str], mode: int) -> None:
        try:
            os.mkdir(parts[-1], 0o700, dir_fd=folder)
        except FileExistsError:
            if not stat.S_ISDIR(os.stat(parts[-1], dir_fd=folder, follow_symlinks=False).st_mode):
                raise
        else:
            self._modes.append((parts, mode))


class _replacing:
    """A temporary name in a folder; at the end of the context it becomes ``name``, or is removed."""

    def __init__(self, folder: int, name: str) -> None:
        self._folder, self._name = folder, name
        self._temporary = f".lab-{secrets.token_hex(8)}.part"

    def __enter__(self) -> str:
        return self._temporary

    def __exit__(self, kind: object, *_: object) -> None:
        try:
            if kind is None:
                os.rename(self._temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary, dir_fd=self._folder)


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: int, name: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    source = archive.extractfile(member)
    assert source is not None
    with open(os.open(name, flags, 0o600, dir_fd=folder), "wb") as file:
        left = member.size
        while left:
            data = source.read(min(left, CHUNK))
            if not data:
                raise EOFError
            file.write(data)
            left -= len(data)
        file.flush()
        os.fchmod(file.fileno(), member.mode & 0o777)


def _report(text: str) -> bool:
    print(text, file=sys.stderr, flush=True)
    return False


def _fail(error: OSError, path: str) -> NoReturn:
    _report(f"{path}: {error.strerror or error}")
    sys.exit(2 if error.errno in WRONG_PATH else 3)


def main(action: str, path: str, root: str = "", folder: str = "") -> int:
    """Sends or receives ``path``; below ``root``, from its ``folder`` on. Returns the exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))  # temporary files are removed
    try:
        if root:
            os.chroot(root)
            os.chdir(folder or "/")
        if action == "send":
            return 0 if send(path, sys.stdout.buffer) else 3
        Receiver(path).receive(sys.stdin.buffer)
        return 0
    except (EOFError, tarfile.ReadError):
        _report("the transfer broke off")
        return 3
    except OSError as error:
        name = error.filename if isinstance(error.filename, str) else path
        _fail(error, str(PurePosixPath(name)) if action == "send" else path)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
