"""Socket Lab: hosts with a router between them, and programs that communicate over sockets."""

__version__ = "0.1.0"
