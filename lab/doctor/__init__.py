"""Finds what keeps a lab from running on this machine. Each trouble comes with its remedy."""
