"""The rules of the diagnosis: each looks at the evidence for one cause.

Their order is their rank. A finding is ``about`` some things (connections, ports): of two findings about the
same thing, the first rule's counts.
"""

from __future__ import annotations

from lab.evidence.rules import datagrams, ending, opening, said, waiting
from lab.evidence.rules.case import Rule

RULES: tuple[Rule, ...] = (
    said.address_in_use, said.name_not_known, said.wrong_host, said.to_itself,
    opening.refused, opening.unanswered, said.no_route,
    ending.reset, waiting.deadlock, ending.vanished,
    datagrams.overrun, datagrams.unreachable, datagrams.lost_on_the_way,
    said.undecodable, waiting.nobody_accepts, waiting.never_read, waiting.both_wait, ending.closed_early,
)  # fmt: skip
