"""The expectation for each kind of subject."""

from __future__ import annotations

from typing import Any

from lab.control.host import Host
from lab.control.program import Program
from lab.errors import UsageError
from lab.evidence.packets.traffic import Traffic
from lab.locale import message
from lab.testing.expectations.hosts import HostExpectation
from lab.testing.expectations.packets import PacketsExpectation
from lab.testing.expectations.programs import ProgramExpectation


def expectation_of(subject: Any) -> HostExpectation | ProgramExpectation | PacketsExpectation:
    """Raises UsageError if there are no expectations of ``subject``."""
    if isinstance(subject, Host):
        return HostExpectation(subject)
    if isinstance(subject, Program):
        return ProgramExpectation(subject)
    if isinstance(subject, Traffic):
        return PacketsExpectation(subject)
    raise UsageError(message("expect({value!r}): expected a host, a program or lab.packets()", value=subject))
