"""The rules of the diagnosis: each looks at the evidence for one cause.

Their order is their rank. A finding is ``about`` some things (connections, ports): of two findings about the
same thing, the first rule's counts.
"""

from __future__ import annotations

from lab.evidence.diagnosis import datagrams, ending, opening, program_output, waiting
from lab.evidence.diagnosis.model import Rule

RULES: tuple[Rule, ...] = (
    program_output.address_in_use, program_output.name_not_known, program_output.wrong_host,
    program_output.to_itself,
    opening.refused, opening.unanswered, program_output.no_route,
    ending.reset, waiting.deadlock, ending.vanished,
    datagrams.overrun, datagrams.unreachable, datagrams.lost_on_the_way,
    program_output.undecodable, waiting.nobody_accepts, waiting.never_read, waiting.both_wait,
    ending.closed_early,
)  # fmt: skip
