"""Pictures of a plan. No I/O."""
