"""A container beside a user's container, from which Python can reach the user's files.

The user's image may have no program at all. The engine's own copy of files (`docker cp`) writes each file
under its final name from the first byte on, and doesn't see the container's tmpfs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lab.engine.client import PROJECT_LABEL, client_of, sdk_call
from lab.engine.http.container import Container
from lab.engine.workloads.workload import EngineWorkload
from lab.errors import EnvironmentFailure

ROOT = "/proc/1/root"  # of the user's container, as the container beside it sees it


@contextmanager
def container_beside(workload: EngineWorkload) -> Iterator[Container]:
    """A container of a lab image in the process namespace of the user's container. Raises
    EnvironmentFailure.
    """
    user = workload.container
    container = sdk_call(
        client_of(user).containers.run,
        workload.helper_image,
        entrypoint=["sleep", "infinity"],
        user="0",
        pid_mode=f"container:{user.id}",
        network_mode="none",
        cap_drop=["ALL"],
        cap_add=["SYS_CHROOT", "SYS_PTRACE", "DAC_OVERRIDE", "FOWNER"],
        read_only=True,
        detach=True,
        labels={PROJECT_LABEL: user.labels.get(PROJECT_LABEL, "")},
    )
    try:
        yield container
    finally:
        with suppress(EnvironmentFailure):  # `lab down` removes it too
            sdk_call(container.remove, force=True)
