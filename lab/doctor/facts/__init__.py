"""Collects facts about this machine. A fact that can't be determined is empty or None; nothing is changed."""
