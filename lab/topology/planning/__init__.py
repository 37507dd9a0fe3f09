"""The steps from a description to a plan. No I/O."""
