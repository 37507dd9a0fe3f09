"""The nodes of a lab, their names and addresses. No I/O."""
