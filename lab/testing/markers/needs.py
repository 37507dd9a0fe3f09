"""The features that a test can require of its lab: the arguments of the marker ``needs``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lab.locale import message

if TYPE_CHECKING:
    from lab.control.lab import Lab

BACKENDS = ("netem", "nfqueue")  # of a link, as in lab/link/traffic_control.py
OF_HOSTS = ("hostname", "ipv6", "ssh")  # as in lab/scenarios/catalog.py
KNOWN = (*BACKENDS, *OF_HOSTS)


def require(lab: Lab, needs: tuple[str, ...]) -> None:
    """Raises Unsupported if the lab lacks one of ``needs``."""
    from lab.errors import Unsupported

    for need in needs:
        if need in OF_HOSTS:
            lab.require(need)
        for router in lab.link.routers if need in BACKENDS else ():
            if not router.current().can.get(need):
                raise Unsupported(
                    message("the kernel of {router} has no {need}", router=router.title, need=need)
                )
        if need in BACKENDS and not lab.link.routers:
            raise Unsupported(message("this lab has no router, so it has no {need}", need=need))
