"""The containers of nodes: power, replacement, and the commands that were run in them."""
