"""Docker: the engine, `docker compose`, and the power and byte streams of a lab's nodes."""
