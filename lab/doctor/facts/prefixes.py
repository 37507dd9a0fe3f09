"""The prefixes that a lab will have, and those that the engine and this machine use."""

from __future__ import annotations

from collections.abc import Sequence

from lab.doctor.checks.prefixes import EngineNetwork, PrefixFacts
from lab.doctor.facts.routes import routes
from lab.engine.client import Engine
from lab.engine.description.definition import LabDefinition
from lab.topology.plan import Plan
from lab.topology.prefixes import Network


def prefixes(engine: Engine, lab: LabDefinition, *, local: bool) -> PrefixFacts:
    """The prefixes that `lab up` would choose now. ``local``: the engine uses this machine's routes.

    Raises EnvironmentFailure; UsageError if the lab can't be planned.
    """
    own = [network for networks in engine.networks_of(lab.project).values() for network in networks]
    labs = engine.projects()
    others = [
        EngineNetwork(subnet, name, _lab_of(name, labs))
        for subnet, name in engine.subnets()
        if subnet not in own
    ]
    plan = lab.plan([each.subnet for each in others], lab.project)
    if own:  # the lab is up, with the machine's routes to its networks
        return PrefixFacts([], others)
    return PrefixFacts(named(plan), others, routes() if local else ())


def named(plan: Plan) -> list[tuple[str, Network]]:
    """The prefixes of a plan, each with the name of its network."""
    return [
        *((segment.name, network) for segment in plan.segments for network in segment.networks()),
        ("mgmt", plan.mgmt),
    ]


def _lab_of(network: str, labs: Sequence[str]) -> str:
    """The lab that a network belongs to, by its name; "" if it belongs to none."""
    return next((lab for lab in labs if network.startswith(f"{lab}_")), "")
