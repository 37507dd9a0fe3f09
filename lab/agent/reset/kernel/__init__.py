"""State of the kernel that a reset compares with the baseline and restores. Runs as root, except for ipc."""
