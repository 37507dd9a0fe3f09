"""The packet filter's rules as `iptables-save` writes them, and their decision on packets between hosts."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from lab.topology.prefixes import Network, overlap

BRIDGE = "br-0123456789ab"  # as the engine names the bridge of a new network
ENGINES_CHAIN = "DOCKER-FORWARD"  # of Engine 28 and later: accepts the packets of its networks
USERS_CHAIN = "DOCKER-USER"


@dataclass(frozen=True)
class Rule:
    """A rule: its text, its target, and whether it is about all packets between the lab's hosts.

    ``matches`` is None if that depends on the packet.
    """

    text: str
    target: str
    matches: bool | None


@dataclass(frozen=True)
class Decision:
    """A rule or policy that drops packets. ``certain`` is False if a rule before it may accept them."""

    chain: str
    rule: str  # its arguments for iptables, without "-A CHAIN"; "" for the policy of the chain
    certain: bool = True


class RuleSet:
    """The table filter of one IP version, in one of the kernel's two packet filters (legacy and nft)."""

    def __init__(self, saved: str, prefixes: Iterable[Network]) -> None:
        self._prefixes = list(prefixes)
        self._policies: dict[str, str] = {}
        self._chains: dict[str, list[Rule]] = {}
        for line in _filter_table(saved):
            self._add(line)

    def _add(self, line: str) -> None:
        if line.startswith(":"):
            chain, policy, *_ = line[1:].split()
            self._policies[chain] = policy
            self._chains[chain] = []
        elif line.startswith("-A "):
            _, chain, *words = shlex.split(line)
            self._chains.setdefault(chain, []).append(_rule(words, self._prefixes))

    def is_engines(self) -> bool:
        """True if the engine has put its rules here."""
        return any(chain.startswith("DOCKER") for chain in self._chains)

    def drops(self, *, managed: bool) -> Decision | None:
        """The decision that drops the packets between hosts of a new lab; None if they pass.

        ``managed``: the engine adds rules here that accept the packets of a new network. Engines before 28
        put these before all other rules except those of the user's own chain.
        """
        uncertain = False
        for chain, rule in self._reached(self._first_chain(managed)):
            if rule.matches is None:
                uncertain |= rule.target == "ACCEPT"
            elif rule.target == "ACCEPT" or (managed and rule.target == ENGINES_CHAIN):
                return None
            elif rule.target in ("DROP", "REJECT"):
                return Decision(chain, rule.text, certain=not uncertain)
        if managed or self._policies.get("FORWARD") != "DROP":
            return None
        return Decision("FORWARD", "", certain=not uncertain)

    def _first_chain(self, managed: bool) -> str:
        by_engine = any(rule.target == ENGINES_CHAIN for rule in self._chains.get("FORWARD", ()))
        return USERS_CHAIN if managed and not by_engine else "FORWARD"

    def _reached(self, chain: str) -> Iterator[tuple[str, Rule]]:
        """The rules that can be about the packets, each with its chain, in the order of their evaluation."""
        for rule in self._chains.get(chain, ()):
            if rule.matches is False:
                continue
            yield chain, rule
            if rule.matches and rule.target == "RETURN":
                return
            if rule.matches and rule.target in self._chains:
                yield from self._reached(rule.target)


def _filter_table(saved: str) -> Iterator[str]:
    """The lines of the table filter."""
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif table == "filter":
            yield line


def _rule(words: Sequence[str], prefixes: Sequence[Network]) -> Rule:
    target, negated = "", False
    answers: list[bool | None] = []
    options = iter(words)
    for word in options:
        if word == "!":
            negated = True
            continue
        if word in ("-j", "-g"):
            target = next(options, "")
            break  # the options of the target follow
        answers.append(_answer(word, options, prefixes, negated))
        negated = False
    matches = False if False in answers else None if None in answers else True
    return Rule(shlex.join(words), target, matches)


def _answer(option: str, values: Iterator[str], prefixes: Sequence[Network], negated: bool) -> bool | None:
    """Whether a rule's option matches all packets between the lab's hosts; None if only some, or unknown."""
    if option in ("-i", "-o"):
        return _interface(next(values, "")) is not negated
    if option in ("-s", "-d"):
        answer = _inside(next(values, ""), prefixes)
        return answer if answer is None else answer is not negated
    if option == "--ctstate":
        return ("NEW" in next(values, "").split(",")) is not negated
    if option == "--comment":
        next(values, "")
        return True
    if option == "-m":
        return True if next(values, "") in ("conntrack", "comment") else None
    return None


def _interface(pattern: str) -> bool:
    return fnmatchcase(BRIDGE, re.sub(r"\+$", "*", pattern))


def _inside(text: str, prefixes: Sequence[Network]) -> bool | None:
    """True if all prefixes are inside the network ``text``, False if none overlaps it."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    mine = [each for each in prefixes if each.version == network.version]
    if not any(overlap(each, network) for each in mine):
        return False
    return True if all(each.subnet_of(network) for each in mine) else None  # type: ignore[arg-type]
