"""The pages of docs/gallery, one for each scenario in each language, made from its lesson, its code and a
real run that is kept in docs/gallery/recorded/; and the socket reference of docs/reference.
"""

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
GALLERY = DOCS / "gallery"
REFERENCE = DOCS / "reference"
