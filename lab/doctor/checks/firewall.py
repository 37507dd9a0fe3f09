"""Whether a firewall of this machine drops packets between the hosts of a lab.

The hosts of a segment are on one bridge. If br_netfilter is on, the kernel shows bridged packets to the
machine's packet filter as if they were forwarded. There can be two filters at once, iptables-legacy and nft:
a packet must pass both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.doctor.checks.engine import numbers
from lab.doctor.checks.ruleset import Decision, RuleSet
from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import Message, message
from lab.topology.prefixes import Network

CHECK = "firewall"
FIRST_WITH_IP6TABLES = (27,)  # this and later engines add rules for IPv6
FIRST_WITH_NFT = (29,)  # this and later engines may have their rules in nft instead
PROVE = "lab doctor --deep"


@dataclass(frozen=True)
class SavedRules:
    """The output of `iptables-save` or of one of its variants. ``command`` changes these rules."""

    command: str  # iptables-nft, ip6tables-legacy, …
    version: int
    text: str


@dataclass(frozen=True)
class FirewallFacts:
    """The packet filters of this machine."""

    bridged: Mapping[int, bool] = field(default_factory=dict)  # by IP version: br_netfilter is on
    readable: bool = True  # only root can read the rules
    rules: Sequence[SavedRules] = ()
    base_chains: Sequence[str] = ()  # other chains of nft that drop forwarded packets by default
    configuration: Mapping[str, object] = field(default_factory=dict)  # the engine's, from daemon.json


def check_firewall(facts: FirewallFacts, engine: str, prefixes: Sequence[Network]) -> Iterator[Finding]:
    """The findings about a new lab with these prefixes on an engine of the version ``engine``."""
    if not any(facts.bridged.values()):
        yield ok(
            CHECK, message("packets between the hosts of a segment don't pass this machine's packet filter")
        )
    elif not facts.readable:
        yield notice(
            CHECK,
            message("only root can read the rules of the packet filter"),
            message("`{prove}` sends a packet each way; or run `sudo lab doctor`", prove=PROVE),
        )
    else:
        found = [*_of_engines_rules(facts, engine), *_of_rules(facts, engine, prefixes), *_of_chains(facts)]
        yield from found or [ok(CHECK, message("no rule drops packets between the hosts of a lab"))]


def _of_engines_rules(facts: FirewallFacts, engine: str) -> Iterator[Finding]:
    """Engines before 29 have their rules in iptables; some firewalls remove them when they start."""
    expected = numbers(engine) < FIRST_WITH_NFT and facts.configuration.get("iptables") is not False
    if expected and not any(RuleSet(each.text, ()).is_engines() for each in facts.rules if each.version == 4):
        yield trouble(
            CHECK,
            message("the engine's rules aren't in the packet filter: another program has removed them"),
            message("`sudo systemctl restart docker` adds them again"),
        )


def _of_rules(facts: FirewallFacts, engine: str, prefixes: Sequence[Network]) -> Iterator[Finding]:
    for saved in facts.rules:
        if not facts.bridged.get(saved.version):
            continue
        rules = RuleSet(saved.text, [each for each in prefixes if each.version == saved.version])
        managed = rules.is_engines() and _is_managed(saved.version, engine, facts.configuration)
        if decision := rules.drops(managed=managed):
            yield _dropped(saved, decision, left=rules.is_engines() and not managed)


def _is_managed(version: int, engine: str, configuration: Mapping[str, object]) -> bool:
    """True if the engine adds rules for its networks to the filter of this IP version."""
    default = version == 4 or numbers(engine) >= FIRST_WITH_IP6TABLES
    return bool(configuration.get("iptables" if version == 4 else "ip6tables", default))


def _dropped(saved: SavedRules, decision: Decision, *, left: bool) -> Finding:
    remedy = _remedy(saved, decision)
    if not decision.certain:
        text = message(
            "the packet filter may drop IPv{version} packets between hosts ({rule})",
            version=saved.version,
            rule=_shown(saved, decision),
        )
        return notice(CHECK, text, message("`{prove}` sends a packet each way", prove=PROVE))
    if left:
        text = message(
            "a newer engine has left the policy DROP: no IPv{version} packets pass between hosts",
            version=saved.version,
        )
        return trouble(CHECK, text, remedy)
    text = message(
        "the packet filter drops IPv{version} packets between hosts ({rule})",
        version=saved.version,
        rule=_shown(saved, decision),
    )
    return trouble(CHECK, text, remedy)


def _shown(saved: SavedRules, decision: Decision) -> str:
    words = f"-A {decision.chain} {decision.rule}" if decision.rule else f"-P {decision.chain} DROP"
    return f"{saved.command} {words}"


def _remedy(saved: SavedRules, decision: Decision) -> Message:
    if decision.rule:
        words = f"sudo {saved.command} -D {decision.chain} {decision.rule}"
        return message("`{command}` deletes the rule; the tool that made it may add it again", command=words)
    words = f"sudo {saved.command} -P {decision.chain} ACCEPT"
    return message("`{command}`; this lasts until the machine or its firewall is restarted", command=words)


def _of_chains(facts: FirewallFacts) -> Iterator[Finding]:
    for chain in facts.base_chains:
        yield notice(
            CHECK,
            message(
                "the chain {chain} of nft drops forwarded packets that no rule in it accepts", chain=chain
            ),
            message(
                "`{prove}` sends a packet each way; `sudo nft list ruleset` shows the rules", prove=PROVE
            ),
        )
