"""Docker: a lab as a Compose project, brought up and down; power and byte streams of its nodes."""
