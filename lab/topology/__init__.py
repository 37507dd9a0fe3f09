"""What a lab consists of: its nodes, their names and addresses. Pure."""
