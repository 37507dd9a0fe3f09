"""Polls the node's sockets and kernel counters, and reports changes."""
