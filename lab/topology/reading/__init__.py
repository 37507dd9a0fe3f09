"""Reads the TOML of a description: its values, and the line of each. No I/O."""
