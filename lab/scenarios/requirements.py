"""The requirements of a scenario: the nodes of its topology, the names in its code, and its NEEDS.

On a lab that doesn't meet them the verdict is ``unsupported``. Otherwise a check for a name that doesn't
exist there would fail, although the programs have no error.
"""

from __future__ import annotations

from lab.control.lab import Lab
from lab.engine.description import topologies
from lab.errors import Unsupported
from lab.locale import message
from lab.scenarios.catalog import Scenario


def require(scenario: Scenario, lab: Lab) -> None:
    """Raises Unsupported if the scenario can't be played on the lab."""
    _require_profile(scenario, lab)
    _require_topology(scenario, lab)
    _require_names(scenario, lab)
    for need in scenario.needs:
        lab.require(need)


def missing_nodes(scenario: Scenario, lab: Lab) -> list[str]:
    """The nodes of its topology that the lab doesn't have; [] in the runner, which has no topologies."""
    if not topologies.names():
        return []
    there = {name for host in lab.hosts for name in (host.name, *host.node.names)}
    return [name for name in topologies.node_names(scenario.topology) if name not in there]


def _require_profile(scenario: Scenario, lab: Lab) -> None:
    if scenario.profile and scenario.profile not in {host.platform for host in lab.hosts}:
        raise Unsupported(
            message(
                "this lab was started without the profile {profile}; `lab up --profile {profile}` starts a"
                " lab with it (docs/profiles.md)",
                profile=scenario.profile,
            )
        )


def _require_topology(scenario: Scenario, lab: Lab) -> None:
    """A scenario for the default topology may do without some of its nodes."""
    if not scenario.topology:
        return
    missing = missing_nodes(scenario, lab)
    if missing or not topologies.names():
        raise Unsupported(
            message(
                "it needs the topology {topology}, and this lab has no node {names}; `lab run {scenario}`"
                " without -p starts a lab with it",
                topology=scenario.topology,
                names=", ".join(missing) or "…",
                scenario=scenario.name,
            )
        )


def _require_names(scenario: Scenario, lab: Lab) -> None:
    """On machines, whose names are the user's choice, those in the scenario's code must exist."""
    if not lab.is_inventory or not topologies.names():
        return
    nodes, segments = topologies.all_names(scenario.topology)
    there = {name for host in lab.hosts for name in (*host.node.names, *host.node.segments)}
    missing = sorted((nodes | segments) & scenario.words - there)
    if missing:
        raise Unsupported(
            message(
                "its code has the names {names}, which the inventory doesn't have",
                names=", ".join(missing),
            )
        )
