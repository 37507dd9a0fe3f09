"""Sequence diagrams of the packets of a run."""
