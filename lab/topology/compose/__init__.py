"""The Compose file of a planned lab."""
