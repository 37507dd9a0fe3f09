"""Netlink: packets queued for a decision, and the sockets of the kernel."""
