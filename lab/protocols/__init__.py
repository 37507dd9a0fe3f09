"""The wire formats, sans-I/O: bytes in, events out; no socket, clock, thread, file or print."""
