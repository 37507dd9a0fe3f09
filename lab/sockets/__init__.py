"""The only code that touches a socket: the same conversations with different faces."""
