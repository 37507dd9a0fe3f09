"""From the description of a lab to its plan, its Compose file and its pictures."""
