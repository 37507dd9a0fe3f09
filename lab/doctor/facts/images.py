"""The images that a lab needs, and whether a registry provides those that aren't on this machine."""

from __future__ import annotations

from lab.doctor.checks.images import ImageFacts
from lab.engine import images
from lab.engine.client import Engine
from lab.engine.lifecycle.project import LabProject
from lab.errors import EnvironmentFailure


def image_facts(engine: Engine, lab: LabProject) -> ImageFacts:
    """The images of a lab as `lab up` would need them now. Raises EnvironmentFailure."""
    plan = lab.plan()
    needed = images.outdated(engine, lab.images(plan), images.source_digest())
    users = {host.workload.image for host in plan.hosts.values() if host.workload and host.workload.image}
    absent = [
        name for name in sorted({image.base for image, _ in needed} | users) if not engine.has_image(name)
    ]
    answers = {name: _refusal(engine, name) for name in absent}
    return ImageFacts(
        missing=[image.name for image, source in needed if source is None],
        outdated=[image.name for image, source in needed if source is not None],
        to_download=[name for name, refusal in answers.items() if refusal is None],
        unavailable={name: refusal for name, refusal in answers.items() if refusal is not None},
        default_base=images.DEFAULT_BASE,
    )


def _refusal(engine: Engine, name: str) -> str | None:
    """Why no registry provides an image; None if one does."""
    try:
        engine.require_in_registry(name)
    except EnvironmentFailure as error:
        return next(iter(str(error).splitlines())).removeprefix("Docker: ")
    return None
