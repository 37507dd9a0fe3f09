"""Socket Lab: hosts with a router between them, and programs that communicate over sockets."""
