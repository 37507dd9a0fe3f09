"""Generates docs/gallery and docs/reference.

The gallery has a page for each scenario in each language, made from its lesson, its code and a recorded run
(docs/gallery/recorded). The socket reference is made from two of these runs.
"""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = DOCS / "gallery"
REFERENCE = DOCS / "reference"
