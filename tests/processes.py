"""Child processes of the tests."""

import os
import select
import subprocess
import time


class Process(subprocess.Popen):
    """A child with pipes for its streams. If the test fails, its context kills it instead of waiting."""

    def __init__(self, argv, **options):
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        super().__init__(argv, **(streams | options))

    def __exit__(self, kind, *rest):
        if kind is not None:
            self.kill()
        return super().__exit__(kind, *rest)


def read_until(descriptor, text):
    """The output of a terminal up to ``text``."""
    seen, until = b"", time.monotonic() + 20
    while text not in seen:
        ready, _, _ = select.select([descriptor], [], [], max(0, until - time.monotonic()))
        assert ready, seen
        seen += os.read(descriptor, 4096)
    return seen
