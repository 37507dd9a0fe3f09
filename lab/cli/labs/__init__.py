"""The commands for a lab: up, down, its state, its description, its links."""
