"""Pictures of a planned lab: its segments, hosts and routers, with their addresses. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from lab.topology.drawing.boxes import picture
from lab.topology.drawing.mermaid import as_mermaid
from lab.topology.drawing.svg import as_svg
from lab.topology.plan import Plan

UNKNOWN: Mapping[str, str] = MappingProxyType({})


def mermaid(plan: Plan, states: Mapping[str, str] = UNKNOWN) -> str:
    """A Mermaid flowchart. ``states`` has the state of each node ("healthy", "exited"), by its name."""
    return as_mermaid(picture(plan, states))


def svg(plan: Plan, states: Mapping[str, str] = UNKNOWN) -> str:
    """An SVG file, with colors for light and dark backgrounds. ``states`` as for ``mermaid``."""
    return as_svg(picture(plan, states))
