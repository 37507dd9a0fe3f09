"""Assertions about hosts, programs and packets that wait until they hold, and explain a failure."""
