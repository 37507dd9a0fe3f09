"""The pages of docs/gallery: one for each scenario in each language, made from its lesson, its code and a
real run that is kept in docs/gallery/recorded/.
"""

from pathlib import Path

GALLERY = Path(__file__).parents[2] / "docs" / "gallery"
