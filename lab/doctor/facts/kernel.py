"""The features of this machine's kernel."""

from __future__ import annotations

import gzip
import os
import re
from pathlib import Path

from lab.doctor.checks.kernel import KernelFacts
from lab.doctor.facts.commands import run

# In a network namespace of its own, which needs no root. The kernel loads the module if there is one.
TRIAL = ["unshare", "--user", "--map-root-user", "--net", "tc", "qdisc", "add", "dev", "lo", "root"]
DISABLED = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")


def kernel() -> KernelFacts:
    """IPv6 and netem on this machine."""
    return KernelFacts(
        ipv6=DISABLED.exists(), ipv6_disabled=_text(DISABLED).strip() == "1", netem=_has_netem()
    )


def _has_netem() -> bool | None:
    if run([*TRIAL, "netem", "delay", "1ms"]).code == 0:
        return True
    # Without tc, or if a namespace isn't allowed, the same trial fails for a qdisc that every kernel has.
    if run([*TRIAL, "pfifo"]).code == 0:
        return False
    found = re.search(r"^CONFIG_NET_SCH_NETEM=[ym]$", _configuration(), re.MULTILINE)
    return bool(found) if _configuration() else None


def _configuration() -> str:
    """The options that the kernel was built with; "" if they aren't published."""
    try:
        return gzip.decompress(Path("/proc/config.gz").read_bytes()).decode("ascii", "replace")
    except (OSError, EOFError):
        return _text(Path(f"/boot/config-{os.uname().release}"))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
