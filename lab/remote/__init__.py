"""SSH: one warm connection to each node."""
