"""The images of the nodes and of the users' containers: present, to be built, or unavailable."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from lab.doctor.finding import Finding, notice, ok, trouble
from lab.locale import Message, message

CHECK = "images"


@dataclass(frozen=True)
class ImageFacts:
    """The images of a lab. ``unavailable`` maps those that no registry provides to the reason."""

    missing: Sequence[str] = ()  # images of the lab's own
    outdated: Sequence[str] = ()  # the same, of another version of the lab
    to_download: Sequence[str] = ()  # base images and the users' images that a registry provides
    unavailable: Mapping[str, str] = field(default_factory=dict)
    default_base: str = ""


def check_images(facts: ImageFacts) -> Iterator[Finding]:
    """A trouble for each image that is unavailable; a notice if `lab up` has to build or download some."""
    for name, reason in facts.unavailable.items():
        text = message(
            "{image} isn't on this machine, and no registry provides it ({reason})", image=name, reason=reason
        )
        yield trouble(CHECK, text, _remedy(name, facts.default_base))
    if facts.to_download:
        yield notice(
            CHECK,
            message("not on this machine yet: {names}", names=", ".join(facts.to_download)),
            message("`lab up` downloads them"),
        )
    if wanted := [*facts.missing, *facts.outdated]:
        text = message("missing, or of another version of the lab: {names}", names=", ".join(wanted))
        yield notice(CHECK, text, message("`lab up` builds them, in about a minute"))
    if not (facts.unavailable or facts.to_download or wanted):
        yield ok(CHECK, message("the images are up to date"))


def _remedy(name: str, default_base: str) -> Message:
    if name == default_base:
        return message(
            "on Debian: `mmdebstrap --variant=minbase --include=ca-certificates trixie -"
            " | docker import - {image}`",
            image=name,
        )
    return message("correct its name, or load it with `docker load`")
