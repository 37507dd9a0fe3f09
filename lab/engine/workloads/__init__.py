"""Workloads: the users' containers on the hosts, run commands in them, read their output, wait for them."""
