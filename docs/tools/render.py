"""The text of the gallery's pages: the lessons and the index of the course, in each language."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import jinja2

from docs.tools import course, recording
from docs.tools.course import Course
from docs.tools.diagram import diagram
from docs.tools.escaping import fenced, joined, prose
from docs.tools.recording import Part, Recording
from docs.tools.source import fingerprint, playing, text_of
from lab.errors import LabError
from lab.evidence.event_text import ending
from lab.locale import LANGUAGES, Message, _, message, messages
from lab.scenarios import catalog, lessons
from lab.scenarios.catalog import Scenario
from lab.scenarios.lessons import Lesson

HERE = Path(__file__).parent
INDEX = "README"  # code hosts show this file with the folder
VARIANTS = {"broken": message("Broken"), "fixed": message("Fixed")}
SUCCESS = str(ending(0, None))  # an ending that no transcript shows


def all_pages() -> dict[str, str]:
    """All pages by their file names. Raises LabError if a recording is missing or out of date."""
    the_course = course.load()
    return {
        file_name(name, language): rendered(name, the_course, language)
        for name in [INDEX, *the_course.order]
        for language in LANGUAGES
    }


def rendered(name: str, the_course: Course, language: str) -> str:
    """The page of a scenario, or the index of the course. Raises LabError like all_pages."""
    if name == INDEX:
        return index(the_course, language)
    scenario = catalog.load(name)
    return page(scenario, recorded(scenario), the_course, language)


def is_current(kept: Recording | None, scenario: Scenario) -> bool:
    """Whether there is a recording and the scenario's code is unchanged since."""
    return kept is not None and kept.fingerprint == fingerprint(scenario)


def recorded(scenario: Scenario) -> Recording:
    """The current recording of the scenario. Raises LabError if there is none."""
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
    """The page of a lesson."""
    before, after = the_course.neighbours(scenario.name)
    lesson = lessons.lesson(scenario, language)
    return _rendered(
        "page.md.jinja",
        language,
        name=scenario.name,
        lesson=lesson,
        before=before,
        after=after,
        reference=_reference(the_course, scenario.name, language),
        sections=list(_sections(scenario, kept, lesson, language)),
        changes="\n".join(lessons.changes(scenario)),
        playing=playing(scenario, text_of(scenario.name)),
        recorded=_recorded_line(kept).in_language(language),
    )


@dataclass(frozen=True)
class Section:
    """A variant of a pitfall, or a whole scenario: its programs, the hosts' output, and the packets."""

    title: str  # "" unless it is a variant
    outcome: str
    programs: dict[str, str]  # those that no section before has shown
    shown_before: list[str]
    transcripts: dict[str, str]
    diagram: str


def _sections(scenario: Scenario, kept: Recording, lesson: Lesson, language: str) -> Iterator[Section]:
    shown: list[str] = []
    for part in kept.parts:
        own = [name for name in scenario.programs if _belongs_to(name, part.variant)]
        yield Section(
            VARIANTS[part.variant].in_language(language) if part.variant else "",
            lesson.outcomes.get(part.variant, ""),
            {name: scenario.programs[name] for name in own if name not in shown},
            [f"`{name}`" for name in own if name in shown],
            _transcripts(part, language),
            diagram(part.steps, language, kept.lanes, part.hidden_acks),
        )
        shown += own


def _belongs_to(program: str, variant: str) -> bool:
    """Whether a variant plays the program: BROKEN_X or FIXED_X belongs to one, any other name to all."""
    prefix = program.partition("_")[0].lower()
    return prefix == variant or prefix not in catalog.VARIANTS or not variant


def _transcripts(part: Part, language: str) -> dict[str, str]:
    """The output by host, as in a terminal; the programs in the order of their start."""
    lines: dict[str, list[str]] = {}
    for program in part.programs:
        more = messages("… {count} more line", "… {count} more lines", count=program.left_out)
        cut = [more.in_language(language)] if program.left_out else []
        end = [program.end] if program.end not in ("", SUCCESS) else []
        printed = [f"$ {program.command}", *program.lines, *cut, *program.last, *end]
        lines.setdefault(program.node, []).extend(printed)
    return {node: "\n".join(printed) for node, printed in lines.items()}


def _reference(the_course: Course, name: str, language: str) -> str:
    """The page outside of the gallery to which the lesson refers, in ``language``; "" if there is none."""
    path = the_course.references.get(name)
    return file_name(path.removesuffix(".md"), language) if path else ""


def _recorded_line(kept: Recording) -> Message:
    versions = {"date": kept.date, "kernel": kept.versions["kernel"], "python": kept.versions["python"]}
    if kept.backend:
        return message(
            "Output and packets were recorded on {date}: Linux {kernel}, Python {python}, the link impaired"
            " by {backend}.",
            backend=kept.backend,
            **versions,
        )
    return message("Output and packets were recorded on {date}: Linux {kernel}, Python {python}.", **versions)


def _rendered(template: str, language: str, **values: object) -> str:
    other = next(name for name in LANGUAGES if name != language)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"prose": prose, "joined": joined, "fenced": fenced}
    environment.globals["_"] = partial(_, language=language)
    text = environment.get_template(template).render(
        language=language, other=other, other_name=LANGUAGES[other], link=file_name, **values
    )
    return text.strip("\n") + "\n"
