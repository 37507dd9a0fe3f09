"""The packet filters of this machine: iptables in both variants, the base chains of nft, br_netfilter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.doctor.checks.firewall import FirewallFacts, SavedRules
from lab.doctor.facts.commands import Output, find, run

BRIDGED = {4: "bridge-nf-call-iptables", 6: "bridge-nf-call-ip6tables"}
FAMILIES = {4: "iptables", 6: "ip6tables"}
VARIANTS = ("nft", "legacy")
CONFIGURATION = Path("/etc/docker/daemon.json")
# Tables that iptables-nft or the engine itself has made. nft shows the former as "ip filter".
NOT_OTHERS = ("filter", "docker-bridges")


def firewall() -> FirewallFacts:
    """The rules that this user may read. Listing them loads no kernel module."""
    outputs = {command: (version, run([f"{command}-save"])) for version, command in _commands()}
    nft = run(["nft", "-j", "list", "ruleset"])
    denied = [output for _, output in outputs.values() if output.code not in (0, None)]
    return FirewallFacts(
        bridged={version: _is_on(name) for version, name in BRIDGED.items()},
        readable=not denied and (bool(outputs) or nft.code == 0),
        rules=[
            SavedRules(name, version, done.stdout)
            for name, (version, done) in outputs.items()
            if done.code == 0
        ],
        base_chains=list(_dropping_chains(nft)),
        configuration=_configuration(),
    )


def _commands() -> Iterator[tuple[int, str]]:
    """The variants of iptables that are installed, or else the plain one."""
    for version, name in FAMILIES.items():
        variants = [f"{name}-{variant}" for variant in VARIANTS if find(f"{name}-{variant}-save")]
        for command in variants or [name] * bool(find(f"{name}-save")):
            yield version, command


def _is_on(name: str) -> bool:
    try:
        return Path("/proc/sys/net/bridge", name).read_text(encoding="ascii").strip() == "1"
    except OSError:  # br_netfilter isn't loaded
        return False


def _dropping_chains(listed: Output) -> Iterator[str]:
    """The base chains of other programs that drop forwarded packets by default: "inet firewalld FORWARD"."""
    try:
        objects: list[dict[str, Any]] = json.loads(listed.stdout or "{}").get("nftables", [])
    except ValueError:
        return
    for chain in (each["chain"] for each in objects if "chain" in each):
        if (
            chain.get("hook") == "forward"
            and chain.get("policy") == "drop"
            and chain["table"] not in NOT_OTHERS
        ):
            yield f"{chain['family']} {chain['table']} {chain['name']}"


def _configuration() -> dict[str, object]:
    try:
        found = json.loads(CONFIGURATION.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
