"""Returns a node to the state in which it came up."""
