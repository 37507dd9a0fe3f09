"""The rules of the diagnosis: each looks for one cause in the evidence.

Their order is their rank: if two findings have a common subject, that of the earlier rule is used.
"""

from __future__ import annotations

from lab.evidence.diagnosis import (
    closing,
    connecting,
    datagrams,
    program_output,
    routing,
    stalled,
    workloads,
)
from lab.evidence.diagnosis.model import Rule

RULES: tuple[Rule, ...] = (
    workloads.container_ended,
    program_output.address_in_use, program_output.unknown_name, program_output.wrong_host,
    program_output.own_address,
    connecting.refused, routing.fallback, connecting.unanswered, program_output.no_route,
    closing.reset, stalled.not_reading, routing.small_mtu, closing.peer_lost,
    datagrams.overrun, datagrams.unreachable, datagrams.lost,
    program_output.undecodable, stalled.not_accepted, stalled.never_read, stalled.no_answer,
    closing.closed_early,
)  # fmt: skip
