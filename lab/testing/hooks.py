"""The work behind the hooks and the fixture of plugin.py, for tests that have a lab."""

from __future__ import annotations

import functools
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from lab.errors import LabError, Unsupported
from lab.locale import _, from_environment
from lab.testing import artifacts
from lab.testing.lab_kind import LabKind, described_for
from lab.testing.markers import marks
from lab.testing.markers.marks import Marks
from lab.testing.options import SETTINGS, shown

if TYPE_CHECKING:
    from lab.control.lab import Lab
    from lab.engine.lifecycle.background_removal import BackgroundRemoval
    from lab.testing.isolation import LabTest
    from lab.testing.lab_session import LabSessions

MARKS = pytest.StashKey[Marks]()  # in each test with a lab
KIND = pytest.StashKey[LabKind]()  # the same
MISTAKE = pytest.StashKey[str]()  # in a test of a worker: what is wrong with its markers
SESSIONS: pytest.StashKey[LabSessions] = pytest.StashKey()  # in the configuration of the session
LEFTOVERS: pytest.StashKey[BackgroundRemoval] = pytest.StashKey()  # the same
LAB_TEST: pytest.StashKey[LabTest] = pytest.StashKey()  # in a test, once its lab is ready
SECTION = "lab"  # of a report
NO_FAILURES = (pytest.skip.Exception, pytest.xfail.Exception)


def prepare(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Reads the markers, and groups the tests that share a lab: one after the other, and on one worker.

    Raises UsageError for the first mistake in a marker. A worker of pytest-xdist can't report that: there the
    test fails.
    """
    for item in filter(marks.is_marked, items):
        try:
            _read_marks(item)
        except pytest.UsageError as error:
            if not hasattr(config, "workerinput"):
                raise
            item.stash[MISTAKE] = str(error)
    plain = plain_kind(config)
    for item in items:
        kind = item.stash.get(KIND, plain)
        if kind != plain and config.pluginmanager.hasplugin("xdist"):
            item.add_marker(pytest.mark.xdist_group(str(kind)))
    # Stable; the tests without a lab and those of the plain one come first.
    items.sort(key=lambda item: "" if (kind := item.stash.get(KIND, plain)) == plain else str(kind))


def _read_marks(item: pytest.Item) -> None:
    if problem := _artifacts_problem(item.config):
        raise pytest.UsageError(f"--lab-artifacts: {problem}")
    item.stash[MARKS] = found = Marks.of(item)
    try:
        item.stash[KIND] = _kind_of(item, found)
        if found.link:
            from lab.testing.markers import link_settings

            link_settings.check(found.link)
    except LabError as error:
        text = error.in_language(from_environment())
        raise pytest.UsageError(f"{item.nodeid}: @pytest.mark.lab: {text}") from None
    if found.timeout is not None:
        _limit(item, found.timeout)


def _artifacts_problem(config: pytest.Config) -> str:
    settings = config.stash[SETTINGS]
    return "" if settings.trace == "off" else artifacts.problem(settings.artifacts)


def _limit(item: pytest.Item, seconds: float) -> None:
    if not item.config.pluginmanager.hasplugin("timeout"):
        raise pytest.UsageError(
            _("{test}: timeout= needs the package pytest-timeout").format(test=item.nodeid)
        )
    item.add_marker(pytest.mark.timeout(seconds, func_only=True), append=False)


def _kind_of(item: pytest.Item, wanted: Marks) -> LabKind:
    if wanted.topology or wanted.file:
        return LabKind.of(wanted.file or wanted.topology, wanted.profile)
    settings = item.config.stash[SETTINGS]
    if settings.lab or settings.file:
        return LabKind(plain_kind(item.config).description, wanted.profile)
    own = described_for(item.path, item.config.rootpath)
    return LabKind.of(own or "default", wanted.profile)


def plain_kind(config: pytest.Config) -> LabKind:
    """The kind of the tests that don't choose one, in the root folder. Raises UsageError."""
    root = config.rootpath
    wanted = config.stash[SETTINGS].file or described_for(root / "pytest.ini", root)
    try:
        return LabKind.of(wanted or "default")
    except LabError as error:
        raise pytest.UsageError(f"--lab-file: {error.in_language(from_environment())}") from None


def sessions(config: pytest.Config) -> LabSessions:
    """The labs of the session; none is up before it is needed."""
    if SESSIONS not in config.stash:
        from lab.testing.lab_session import LabSession, LabSessions

        settings, plain = config.stash[SETTINGS], plain_kind(config)
        worker: dict[str, str] = getattr(config, "workerinput", {})
        keep = f"kept{worker.get('workerid', '')}" if settings.keep else ""

        def session_of(kind: LabKind) -> LabSession:
            running = settings.lab or "" if kind == plain else ""
            before_start, show = (functools.partial(act, config) for act in (_remove_leftovers, _show))
            return LabSession(kind, running, keep, before_start=before_start, report=show)

        config.stash[SESSIONS] = LabSessions(session_of, plain)
    return config.stash[SESSIONS]


def _remove_leftovers(config: pytest.Config) -> None:
    """Removes the labs of sessions that were killed, in a thread while this session starts its first lab."""
    from lab.engine.lifecycle.background_removal import BackgroundRemoval

    if LEFTOVERS not in config.stash:
        config.stash[LEFTOVERS] = BackgroundRemoval()


def _show(config: pytest.Config, line: str) -> None:
    """Shows a line at once: the start of a lab may take minutes."""
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if terminal is not None and capture is not None:  # a worker of pytest-xdist has no terminal
        with capture.global_and_fixture_disabled():
            terminal.write_line(f"lab: {line}")


def fail_on_mistake(item: pytest.Item) -> None:
    """Fails a test with a mistake in its markers: a worker can't report it at collection."""
    if MISTAKE in item.stash:
        pytest.fail(item.stash[MISTAKE], pytrace=False)


def lab_for(item: pytest.Item, temporary: Path) -> Iterator[Lab]:
    """The fixture ``lab`` of a test."""
    from lab.testing.isolation import LabTest

    if MARKS not in item.stash:
        _add_fixture(item)
    config = item.config
    settings = config.stash[SETTINGS]
    folder = artifacts.fresh_folder(settings.artifacts, item.nodeid, getattr(item, "execution_count", 1))
    _hide_own_frames()
    test = LabTest(item.nodeid, item.stash[MARKS], settings.seed, temporary / "lab", folder)
    try:
        lab = sessions(config)[item.stash[KIND]].claimed_lab
        with test.on(lab):
            item.stash[LAB_TEST] = test
            yield lab
    except LabError as error:
        if LAB_TEST not in item.stash:
            test.discard()
        stop_if_unsupported(item, error)
        raise pytest.fail.Exception(error.in_language(from_environment()), pytrace=False) from None


def _add_fixture(item: pytest.Item) -> None:
    """For a test that asks for the lab while it runs: ``request.getfixturevalue("lab")``."""
    try:
        _read_marks(item)
    except pytest.UsageError as error:
        pytest.fail(str(error), pytrace=False)
    if isinstance(item, pytest.Function) and not marks.uses_lab(item):
        item.fixturenames = [*item.fixturenames, marks.FIXTURE]  # the list is shared by parametrized tests


def _hide_own_frames() -> None:
    """Errors for the user are shown without the code of the lab that raised them; all others with it."""

    def hidden(error: pytest.ExceptionInfo[BaseException]) -> bool:
        return error.errisinstance(LabError)

    for name, module in list(sys.modules.items()):
        if name == "contextlib" or name.startswith("lab."):
            module.__dict__.setdefault("__tracebackhide__", hidden)


def stop_if_unsupported(item: pytest.Item, error: Exception) -> None:
    """Fails or skips a test whose lab can't do something; returns if ``error`` has another reason."""
    if isinstance(error, Unsupported):
        _stop(item, _("unsupported: {reason}").format(reason=error.in_language(from_environment())))


def _stop(item: pytest.Item, text: str) -> NoReturn:
    if item.config.stash[SETTINGS].unsupported == "skip":
        raise pytest.skip.Exception(text) from None
    raise pytest.fail.Exception(text, pytrace=False) from None


def report(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Explains a failure in the report, and keeps or removes the evidence after the test."""
    if call.excinfo is not None:
        _hide_cause(call.excinfo.value)
    test = item.stash.get(LAB_TEST, None)
    if test is None:
        return (yield)
    section = ""
    if call.when == "teardown":
        if call.excinfo is not None and not call.excinfo.errisinstance(NO_FAILURES):
            section = _explained(item, test, call.excinfo.exconly(tryshort=True))
        section = "\n".join(filter(None, [section, _finished(item, test)]))
    found = yield
    if found.failed and call.when != "teardown":
        # A strict xfail that passes is a failure without an exception.
        reason = call.excinfo.exconly(tryshort=True) if call.excinfo else found.longreprtext
        section = _explained(item, test, reason)
    if section:
        found.sections.append((SECTION, section))
    return found


def _hide_cause(error: BaseException) -> None:
    """A LabError explains its cause: the tracebacks of libraries (Docker, SSH) aren't shown."""
    if isinstance(error, LabError):
        error.__cause__ = None


def _explained(item: pytest.Item, test: LabTest, reason: str) -> str:
    from lab.testing import failure_report

    test.failure = test.failure or reason
    config = item.config
    kept = "" if config.stash[SETTINGS].trace == "off" else shown(test.artifacts, config)
    problem = artifacts.problem(test.artifacts.parent) if kept else ""
    return failure_report.text(test, kept, problem)


def _finished(item: pytest.Item, test: LabTest) -> str:
    """Keeps or removes the evidence. Returns the reason why it can't be kept, or ""."""
    del item.stash[LAB_TEST]
    trace = item.config.stash[SETTINGS].trace
    problem = ""
    if trace == "on" or (trace == "retain-on-failure" and test.failure):
        try:
            _add_paths(item, test.keep())
        except (OSError, ValueError) as error:
            problem = artifacts.not_kept(error)
            _show(item.config, problem)  # the report of a tear-down that passes isn't shown
    test.discard()
    return problem


def _add_paths(item: pytest.Item, folder: Path) -> None:
    """Adds the files to the properties of the test, which are in JUnit's XML."""
    settings = item.config.stash[SETTINGS]
    paths = [("lab_artifacts", folder), *((f"lab_{path.name}", path) for path in artifacts.files(folder))]
    item.user_properties += [(name, shown(path, item.config)) for name, path in paths]
    item.user_properties.append(("lab_seed", settings.seed))


def close_lab_after(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Takes a lab down after its last test, so that few labs are up at the same time."""
    found = item.config.stash.get(SESSIONS, None)
    kind = item.stash.get(KIND, None)
    if found is None or kind is None or kind == found.plain:
        return
    if nextitem is None or nextitem.stash.get(KIND, None) != kind:
        found.close(kind)


def close(config: pytest.Config) -> None:
    """Takes down the session's labs."""
    found = config.stash.get(SESSIONS, None)
    if found is None:
        return
    kept = found.kept
    try:
        found.close()
    except LabError as error:
        print(f"lab: {error.in_language(from_environment())}", file=sys.stderr)
    for left in config.stash[LEFTOVERS].finish() if LEFTOVERS in config.stash else ():
        print(f"lab: {left.removal.in_language(from_environment())}", file=sys.stderr)
    for name in kept:
        print(
            _("the lab {name} stays up; `lab down -p {name}` removes it").format(name=name), file=sys.stderr
        )
