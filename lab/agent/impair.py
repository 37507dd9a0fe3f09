"""For images/router/impair: ``lab.agent.link.impair``."""

from lab.agent.link.impair import main, program

__all__ = ["main", "program"]
