"""A lab as a Compose project: brings it up, waits for its nodes, and removes it."""
