"""Features of the kernel: IPv6, and netem, which delays and drops packets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import message


@dataclass(frozen=True)
class KernelFacts:
    """The kernel that runs the containers, if that is this machine's."""

    ipv6: bool
    ipv6_disabled: bool = False  # by sysctl, on all interfaces of the machine
    netem: bool | None = None  # None: not known


def check_kernel(facts: KernelFacts, *, needs_ipv6: bool) -> Iterator[Finding]:
    """The findings about the kernel. ``needs_ipv6``: the lab has a segment with IPv6."""
    yield _ipv6(facts, needed=needs_ipv6)
    if facts.netem:
        yield ok("netem", message("the kernel has netem"))
    elif facts.netem is False:
        yield notice(
            "netem",
            message(
                "the kernel has no netem: the router delays and drops packets by NFQUEUE or iptables instead"
            ),
            message("none is needed; links of more than 1 Gbit/s need a kernel with CONFIG_NET_SCH_NETEM"),
        )


def _ipv6(facts: KernelFacts, *, needed: bool) -> Finding:
    if not facts.ipv6:
        text = message("this kernel has no IPv6")
        if not needed:
            return notice("ipv6", text)
        return trouble(
            "ipv6",
            text,
            message(
                "start the kernel without `ipv6.disable=1`; or add `ipv6 = false` to each segment in lab.toml"
            ),
        )
    if facts.ipv6_disabled:
        return notice(
            "ipv6",
            message("IPv6 is disabled on this machine; a lab has it on its own networks only"),
            message("if hosts don't get IPv6 addresses: `sudo sysctl -w net.ipv6.conf.all.disable_ipv6=0`"),
        )
    return ok("ipv6", message("the kernel has IPv6"))
