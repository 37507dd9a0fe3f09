"""Collects facts about this machine. A fact that can't be had is empty or None; nothing is changed."""
