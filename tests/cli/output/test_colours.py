"""The colours of the nodes differ for every kind of colour vision, in the terminal and in trace.html.

A deficiency is simulated as by Machado, Oliveira and Fernandes in "A Physiologically-based Model for
Simulation of Color Vision Deficiency" (2009); a difference is the distance in Oklab.
"""

import math
import re
from itertools import combinations

import pytest

from lab.cli.output.view import COLOURS
from lab.evidence.trace import render

VISION = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039),
    ),
}  # fmt: skip
TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def page_colours(theme):
    """The colours of the nodes in style.css, which has the light theme first and the dark one last."""
    style = (render.HERE / "style.css").read_text()
    found = re.findall(r"--node-\d: (#[0-9a-f]{6})", style)
    return found[:8] if theme == "light" else found[-8:]


PALETTES = {"terminal": COLOURS, "light": page_colours("light"), "dark": page_colours("dark")}
BACKGROUNDS = {"terminal": "#000000", "light": "#ffffff", "dark": "#12161b"}


def times(matrix, vector):
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(colour):
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]


def oklab(colour, vision):
    seen = [min(max(channel, 0), 1) for channel in times(vision, linear(colour))]
    return times(TO_OKLAB, [cone ** (1 / 3) for cone in times(TO_CONES, seen)])


def luminance(colour):
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("vision", VISION.values(), ids=VISION)
@pytest.mark.parametrize("palette", PALETTES.values(), ids=PALETTES)
def test_any_two_colours_differ(palette, vision):
    assert len(set(palette)) == 8
    for one, other in combinations(palette, 2):
        assert math.dist(oklab(one, vision), oklab(other, vision)) > 0.09, (one, other)


@pytest.mark.parametrize("name", PALETTES)
def test_a_colour_stands_out_from_its_background(name):
    """At least 3:1, as WCAG 2.2 requires of graphics (1.4.11)."""
    for colour in PALETTES[name]:
        low, high = sorted((luminance(colour), luminance(BACKGROUNDS[name])))
        assert (high + 0.05) / (low + 0.05) >= 3, colour
