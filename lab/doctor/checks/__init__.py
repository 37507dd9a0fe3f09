"""Checks of facts about this machine. No I/O."""
