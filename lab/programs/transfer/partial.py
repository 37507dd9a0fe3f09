"""A file on its way in: it has a hidden name until it is complete, verified and on the disk.

The hidden name follows from the file's own (``partial_name``), in a few slots, so that several transfers of
one name never share a file; the one who writes a slot holds its lock (flock(2)), which a killed process
loses by itself. A slot that nobody locks is what a transfer left that broke off: the next one goes on from
it, after both ends compared the digest of what is there, or starts it afresh. So a broken transfer leaves
at most one hidden file behind for each that ran at once, and the next success clears them away.

Whole blocks are written with O_DIRECT where the file system has it: measured on a virtual disk, a third of
the processor time of going through the page cache, and no long fsync at the end.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable
from types import TracebackType

from lab.programs.transfer.block_pipeline import BLOCK, BlockPipeline
from lab.programs.transfer.errno_mapping import refusing
from lab.protocols.names import Path, partial_name, shown
from lab.protocols.transfer import RESUME_ALIGNMENT, Refusal

SLOTS = 16
_PAGE = 4096
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Partials:
    """The partial files of one name, in a directory that ``directory`` is an open descriptor of.

    Methods raise Refusal.
    """

    def __init__(self, directory: int, path: Path) -> None:
        self.directory = directory
        self.path = path
        self.name = path[-1]

    def begin(self, size: int) -> Incoming:
        """An empty file to put ``size`` bytes into."""
        with refusing(self.path):
            self._check_target()
            for slot in range(SLOTS):
                incoming = self._lock(slot, os.O_CREAT)
                if incoming is not None:
                    return incoming.start_over(size)
        raise Refusal("conflict", f"{shown(self.path)}: {SLOTS} transfers of this name are under way")

    def resume(self) -> Incoming | None:
        """What a broken transfer left, as it is: nothing is changed. None: there is nothing."""
        with refusing(self.path):
            for slot in range(SLOTS):
                incoming = self._lock(slot, 0)
                if incoming is not None:
                    incoming.offset = os.fstat(incoming.fd).st_size // RESUME_ALIGNMENT * RESUME_ALIGNMENT
                    if incoming.offset:
                        return incoming
                    incoming.release()
        return None

    def sweep(self) -> None:
        """Removes what broken transfers of this name left."""
        for slot in range(SLOTS):
            incoming = self._lock(slot, 0)
            if incoming is not None:
                incoming.discard()

    def _check_target(self) -> None:
        """A file, and a symbolic link itself, may be replaced; a directory or a device may not."""
        with contextlib.suppress(FileNotFoundError):
            mode = os.stat(self.name, dir_fd=self.directory, follow_symlinks=False).st_mode
            if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
                what = "a directory" if stat.S_ISDIR(mode) else "no regular file"
                raise Refusal("exists", f"{shown(self.path)}: exists and is {what}")

    def _lock(self, slot: int, create: int) -> Incoming | None:
        """The slot's file, locked. None: there is none, or it is another's."""
        hidden = partial_name(self.name, slot)
        while True:
            try:
                fd = os.open(hidden, _FLAGS | create, 0o600, dir_fd=self.directory)
            except OSError as error:
                if error.errno in (errno.ENOENT, errno.ELOOP, errno.EISDIR, errno.ENXIO):
                    return None
                raise
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                return None
            match self._is_ours(fd, hidden):
                case True:
                    return Incoming(self, fd, hidden)
                case False:
                    os.close(fd)
                    return None
            os.close(fd)  # it lost this name while we waited to lock it: look again

    def _is_ours(self, fd: int, hidden: str) -> bool | None:
        """None: the name has gone to another file. False: something that we would never make."""
        status = os.fstat(fd)
        try:
            named = os.stat(hidden, dir_fd=self.directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if (named.st_dev, named.st_ino) != (status.st_dev, status.st_ino):
            return None
        return stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid()


class Incoming:
    """A locked partial file, and a context that keeps what has arrived for a later transfer to go on from,
    unless it was committed, discarded or released in it. Methods raise Refusal.
    """

    def __init__(self, partials: Partials, fd: int, hidden: str) -> None:
        self._directory = partials.directory
        self._path = partials.path
        self._sweep = partials.sweep
        self.fd = fd
        self._hidden = hidden
        self.offset = 0  # bytes that are there and count
        self._direct = False
        self.hasher = hashlib.sha256()

    def __enter__(self) -> Incoming:
        return self

    def __exit__(self, _: object, error: BaseException | None, trace: TracebackType | None) -> None:
        if isinstance(error, Refusal) and error.code == "no-space":
            self.discard()  # it would only keep the disk full
        self.keep()

    def expect(self, size: int) -> None:
        """``size`` bytes will be in it, or there is no room for the rest of them."""
        with refusing(self._path):
            status = os.fstatvfs(self.fd)
            if size - self.offset > status.f_bavail * status.f_frsize:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._set_direct(size - self.offset > BLOCK)

    def hash_prefix(self, on_progress: Callable[[int], None] = lambda _: None) -> str:
        """The digest of the bytes that are there; ``on_progress`` is told how many were read so far."""
        self.hasher = hash_file(self.fd, self.offset, on_progress)
        return self.hasher.hexdigest()

    def start_over(self, size: int) -> Incoming:
        """Forgets what has arrived; ``size`` bytes will."""
        self.offset = 0
        self.hasher = hashlib.sha256()
        try:
            with refusing(self._path):
                os.ftruncate(self.fd, 0)
            self.expect(size)
        except Refusal:
            self.discard()
            raise
        return self

    def write(self, data: memoryview) -> None:
        """Appends ``data``."""
        if self._direct and len(data) % _PAGE:  # the file's end
            self._set_direct(False)
        with refusing(self._path):
            while data:
                written = self._write_some(data)
                self.offset += written
                data = data[written:]

    def commit(self, digest: str, mode: int, mtime: float) -> None:
        """Verifies, and gives the file its name: absent or old before, new after, never half.

        Refuses with ``digest-mismatch``, and the bytes are gone: they are known to be wrong.
        """
        if self.hasher.hexdigest() != digest:
            self.discard()
            text = f"{shown(self._path)}: the digest isn't that of the bytes that came; did the file change?"
            raise Refusal("digest-mismatch", text)
        with refusing(self._path):
            os.ftruncate(self.fd, self.offset)
            os.fchmod(self.fd, mode)
            os.utime(self.fd, (mtime, mtime))
            os.fsync(self.fd)
            os.rename(self._hidden, self._path[-1], src_dir_fd=self._directory, dst_dir_fd=self._directory)
            self.release()
            os.fsync(self._directory)
            self._sweep()

    def keep(self) -> int:
        """Leaves what has arrived for a later transfer to go on from; says how many bytes that are."""
        kept = self.offset // RESUME_ALIGNMENT * RESUME_ALIGNMENT
        if self.fd < 0 or not kept:
            self.discard()
            return 0
        with contextlib.suppress(OSError):
            os.ftruncate(self.fd, kept)
        self.release()
        return kept

    def discard(self) -> None:
        """Removes what has arrived."""
        if self.fd >= 0:
            with contextlib.suppress(OSError):
                os.unlink(self._hidden, dir_fd=self._directory)
        self.release()

    def release(self) -> None:
        """Leaves everything as it is."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd = -1

    def _write_some(self, data: memoryview) -> int:
        try:
            return os.pwrite(self.fd, data, self.offset)
        except OSError as error:
            if error.errno != errno.EINVAL or not self._direct:
                raise
            self._set_direct(False)  # the device wants another alignment than ours
            return os.pwrite(self.fd, data, self.offset)

    def _set_direct(self, direct: bool) -> None:
        self._direct = False
        flags = fcntl.fcntl(self.fd, fcntl.F_GETFL) & ~os.O_DIRECT
        with contextlib.suppress(OSError):  # a file system without it
            fcntl.fcntl(self.fd, fcntl.F_SETFL, flags | (os.O_DIRECT if direct else 0))
            self._direct = direct


def hash_file(fd: int, count: int, on_progress: Callable[[int], None] = lambda _: None) -> hashlib._Hash:
    """A hasher that has seen the first ``count`` bytes of a file. Raises Refusal where it is shorter."""
    hasher = hashlib.sha256()
    done = 0
    with BlockPipeline([hasher.update], count) as pipeline:
        while done < count:
            block = pipeline.take()
            got = os.preadv(fd, [block[: count - done]], done)
            if not got:
                raise Refusal("conflict", "the file became shorter meanwhile")
            pipeline.put(block, got)
            done += got
            on_progress(done)
    return hasher
