"""The commands for scenarios: `lab list`, `lab explain` and `lab run`."""
