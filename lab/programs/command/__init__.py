"""lab-command: run commands on another host."""
