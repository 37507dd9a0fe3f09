"""What serves the controller on each node: sockets watched, packets impaired, the link measured."""
