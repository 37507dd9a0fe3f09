"""The packet filter of this node: recorded, compared and restored. Runs as root."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from lab.agent.reset.findings import Finding, finding
from lab.sockets.netlink.nftables import PacketFilter

OURS = ("1 socketlab", "1 socketlab-nat")  # family inet: the tables of images/host/firewall.py
BOOT = ["/usr/lib/socketlab/boot"]
TIMEOUT = 10.0  # seconds


def save() -> dict[str, Any]:
    with PacketFilter() as kernel:
        return {"generation": kernel.generation(), "tables": kernel.rules()}


def reset(saved: Mapping[str, Any]) -> list[Finding]:
    """Restores the rules, and forgets tracked connections.

    An unknown table is deleted. Those of images/host/firewall.py are made again. The kernel's number of
    changes shows if there were none.
    """
    with PacketFilter() as kernel:
        with suppress(OSError):  # no connection tracking
            kernel.forget_connections()
        if kernel.generation() == saved["generation"]:
            return []
        tables = saved["tables"]
        found = []
        now = kernel.rules()
        unknown = sorted(now.keys() - tables.keys())
        for table in unknown:
            kernel.delete(table)
        found += [_name(table) for table in unknown if len(now[table]) > 1 and _has_rules(now[table])]
        changed = [table for table in tables if now.get(table) != tables[table]]
        if set(changed) & set(OURS):
            subprocess.run(BOOT, timeout=TIMEOUT, check=False, capture_output=True)
        left = changed and [table for table in tables if kernel.rules().get(table) != tables[table]]
        return [
            *finding("filter", [*found, *(_name(table) for table in changed if table not in left)]),
            *finding("filter", map(_name, left), undone=False),
        ]


def _has_rules(contents: list[str]) -> bool:
    """True if the table has a rule: iptables leaves empty tables and chains behind."""
    return any(each.startswith("7 ") for each in contents)  # NFT_MSG_GETRULE


def _name(table: str) -> str:
    return table.partition(" ")[2]
