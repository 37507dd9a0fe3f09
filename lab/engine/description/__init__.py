"""The definition of a lab: its description, its prefixes, its Compose file."""
