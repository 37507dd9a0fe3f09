"""The pages as text: a lesson's page and the course, in each language."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2

from docs.tools import course, recording
from docs.tools.course import Course
from docs.tools.diagram import diagram
from docs.tools.escaping import fenced, joined, prose
from docs.tools.recording import Part, Recording
from docs.tools.source import fingerprint, playing, text_of
from docs.tools.translations import WORDS
from lab.errors import LabError
from lab.locale import LANGUAGES
from lab.scenarios import catalog, lessons
from lab.scenarios.catalog import Scenario
from lab.scenarios.lessons import Lesson

HERE = Path(__file__).parent
INDEX = "README"  # a code host shows it with the folder


def all_pages() -> dict[str, str]:
    """All pages by their file names. Raises LabError where a recording is missing or out of date."""
    the_course = course.load()
    return {
        file_name(name, language): rendered(name, the_course, language)
        for name in [INDEX, *the_course.order]
        for language in LANGUAGES
    }


def rendered(name: str, the_course: Course, language: str) -> str:
    """The page of that scenario, or the course's own. Raises LabError as all_pages does."""
    if name == INDEX:
        return index(the_course, language)
    scenario = catalog.load(name)
    return page(scenario, recorded(scenario), the_course, language)


def is_current(kept: Recording | None, scenario: Scenario) -> bool:
    """Whether there is a recording, and of the scenario's code as it is now."""
    return kept is not None and kept.fingerprint == fingerprint(scenario)


def recorded(scenario: Scenario) -> Recording:
    """The recording of the scenario as it is now. Raises LabError where there is none."""
    kept = recording.load(scenario.name)
    if kept is None or not is_current(kept, scenario):
        why = "has no recording" if kept is None else "was changed after it was recorded"
        raise LabError(f"{scenario.name} {why}: `make docs` records it")
    return kept


def file_name(name: str, language: str) -> str:
    return f"{name}.md" if language == "en" else f"{name}.{language}.md"


def index(the_course: Course, language: str) -> str:
    """The course: all lessons in their order."""
    titles = {name: lessons.title(name, language) for name in the_course.order}
    return _rendered("index.md.jinja", language, course=the_course, titles=titles)


def page(scenario: Scenario, kept: Recording, the_course: Course, language: str) -> str:
    """A lesson's page."""
    before, after = the_course.neighbours(scenario.name)
    told = lessons.lesson(scenario, language)
    return _rendered(
        "page.md.jinja",
        language,
        name=scenario.name,
        lesson=told,
        before=before,
        after=after,
        reference=_reference(the_course, scenario.name, language),
        sections=list(_sections(scenario, kept, told, language)),
        changes="\n".join(lessons.changes(scenario)),
        playing=playing(scenario, text_of(scenario.name)),
        recorded=_recorded_line(kept, WORDS[language]),
    )


@dataclass(frozen=True)
class Section:
    """A variant, or a whole scenario: its programs, what they printed on each host, and what passed."""

    variant: str
    outcome: str
    programs: dict[str, str]  # that weren't shown before
    shown_before: list[str]
    transcripts: dict[str, str]
    diagram: str


def _sections(scenario: Scenario, kept: Recording, told: Lesson, language: str) -> Iterator[Section]:
    shown: list[str] = []
    for part in kept.parts:
        own = [name for name in scenario.programs if _is_of(name, part.variant)]
        yield Section(
            part.variant,
            told.outcomes.get(part.variant, ""),
            {name: scenario.programs[name] for name in own if name not in shown},
            [f"`{name}`" for name in own if name in shown],
            _transcripts(part, WORDS[language]),
            diagram(part.steps, WORDS[language], kept.lanes, part.hidden_acks),
        )
        shown += own


def _is_of(program: str, variant: str) -> bool:
    """Whether a program is of that variant; one that doesn't say so by its name is of all."""
    said = program.partition("_")[0].lower()
    return said == variant or said not in catalog.VARIANTS or not variant


def _transcripts(part: Part, words: Mapping[str, str]) -> dict[str, str]:
    """What was printed, by host, as in a terminal; the programs in the order in which they began."""
    lines: dict[str, list[str]] = {}
    for said in part.programs:
        more = [words["more_lines"].format(said.left_out)] if said.left_out else []
        end = [said.end] if said.end not in ("", "exit code 0") else []
        printed = [f"$ {said.command}", *said.lines, *more, *said.last, *end]
        lines.setdefault(said.node, []).extend(printed)
    return {node: "\n".join(printed) for node, printed in lines.items()}


def _reference(the_course: Course, name: str, language: str) -> str:
    """The page outside of the gallery that the lesson leads to, in the same language; "" without one."""
    path = the_course.references.get(name)
    return file_name(path.removesuffix(".md"), language) if path else ""


def _recorded_line(kept: Recording, words: Mapping[str, str]) -> str:
    link = words["link"].format(kept.backend) if kept.backend else ""
    return words["recorded"].format(date=kept.date, link=link, **kept.versions)


def _rendered(template: str, language: str, **values: object) -> str:
    other = next(name for name in LANGUAGES if name != language)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose, "joined": joined, "fenced": fenced}
    text = environment.get_template(template).render(
        language=language,
        other=other,
        other_name=LANGUAGES[other],
        link=file_name,
        words=WORDS[language],
        **values,
    )
    return text.strip("\n") + "\n"
