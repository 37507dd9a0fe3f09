"""Finds the mistakes in a topology. No I/O."""
