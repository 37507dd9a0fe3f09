"""Socket Lab: two hosts, a router between them, and programs that talk over sockets."""
