"""The pytest plugin, and ``expect``: assertions that wait until they hold and explain themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:  # every pytest session imports this package
    from lab.control.host import Host
    from lab.control.program import Program
    from lab.evidence.packets.traffic import Traffic
    from lab.testing.expectations.hosts import HostExpectation
    from lab.testing.expectations.packets import PacketsExpectation
    from lab.testing.expectations.programs import ProgramExpectation


@overload
def expect(subject: Host, /) -> HostExpectation: ...
@overload
def expect(subject: Program, /) -> ProgramExpectation: ...
@overload
def expect(subject: Traffic, /) -> PacketsExpectation: ...
def expect(subject: Any, /) -> Any:
    """An expectation of a host, of a program that was started on one, or of ``lab.packets()``.

    Its methods wait until the expectation holds, and raise AssertionError at their deadline. Raises
    UsageError for any other subject.
    """
    from lab.testing.expectations.subjects import expectation_of

    return expectation_of(subject)
