"""Workloads, the users' containers on the hosts: their state, their output, and commands in them."""
