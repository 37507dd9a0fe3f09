"""Whether a scenario is what was recorded, and what the page shows of how it is played."""

import pytest

from docs.tools.source import fingerprint, playing, text_of
from lab.scenarios import catalog

TRAP = '''"""Title.

Lesson.
"""

import ast

SIZE = 4
BROKEN = """
import socket
print("broken")
"""
FIXED = f"""
import socket
print({SIZE})
"""


def run(lab, variant):
    """What it does."""
    return {"played": variant}  # a comment


def check_broken(record):
    """It fails."""
    assert record == {"played": "broken"}


def check_fixed(record):
    """It works."""
    assert record == {"played": "fixed"}
'''


@pytest.fixture
def fingerprint_of(tmp_path, monkeypatch):
    monkeypatch.setattr(catalog, "FOLDER", tmp_path)

    def of(text):
        (tmp_path / "trap.py").write_text(text)
        return fingerprint(catalog.load("trap"))

    return of


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Lesson.", "Another lesson,\nlonger."),
        ("It fails.", "It fails, and how."),
        ('    """What it does."""\n', ""),
        ("  # a comment", ""),
        ("\n\n\ndef check_fixed", "\n\ndef check_fixed"),
        ('{"played": variant}', "{'played':   variant}"),
    ],
)
def test_texts_and_layout_do_not_count(fingerprint_of, before, after):
    assert before in TRAP
    assert fingerprint_of(TRAP) == fingerprint_of(TRAP.replace(before, after))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"played": variant', '"played": variant, "more": 1'),
        ('print("broken")', 'print("fails")'),
        ("print({SIZE})", "print({SIZE} )"),
        ("SIZE = 4", "SIZE = 5"),
        ('assert record == {"played": "fixed"}', "assert record"),
        ("import ast\n", ""),
    ],
)
def test_code_counts(fingerprint_of, before, after):
    assert before in TRAP
    assert fingerprint_of(TRAP) != fingerprint_of(TRAP.replace(before, after))


def test_a_program_in_a_file_beside_it_counts(fingerprint_of, tmp_path):
    program = tmp_path / "program.txt"
    inline = 'BROKEN = """\nimport socket\nprint("broken")\n"""'
    text = TRAP.replace(inline, f"from pathlib import Path\nBROKEN = Path({str(program)!r}).read_text()")
    assert text != TRAP
    program.write_text("import socket\nprint(1)\n")
    before = fingerprint_of(text)
    program.write_text("import socket\nprint(2)\n")
    assert fingerprint_of(text) != before


def test_it_is_the_same_with_every_python(fingerprint_of):
    """Compared with a literal, so that a Python version with other syntax trees is noticed."""
    assert fingerprint_of(TRAP) == "6f2197364ef0f2bb27cba80627fa332e9fa202cc36c3af255a7048ef1918eeeb"


def test_the_page_shows_the_file_without_lesson_and_programs(fingerprint_of):
    fingerprint_of(TRAP)
    shown = playing(catalog.load("trap"), text_of("trap"))
    assert shown == "import ast\n\nSIZE = 4\n\n\n" + TRAP[TRAP.index("def run") :].rstrip("\n")
