"""For images/router/impair: ``lab.agent.link.impair``."""

from lab.agent.link.impair import program
from lab.programs.console import main

__all__ = ["main", "program"]
