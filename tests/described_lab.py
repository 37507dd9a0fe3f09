"""Brings up a lab from its description, for tests that need another topology than the default."""

import os
from contextlib import contextmanager

from lab.control.transport import from_engine
from lab.engine.lifecycle.project import LabProject


@contextmanager
def lab_from(file, name, reported=None):
    """The name of a running lab with this description. ``reported`` gets the lines that `lab up` shows."""
    project = LabProject.of_file(file, f"socketlab-test-{os.getpid()}-{name}")
    try:
        project.up(report=(reported if reported is not None else []).append)
        yield project.project
    finally:
        project.down()


@contextmanager
def opened(project, observe):
    with from_engine(project, observe) as lab:
        lab.connect()
        yield lab
