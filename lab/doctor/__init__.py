"""Finds the problems that keep a lab from running on this machine. Each trouble comes with its remedy."""
