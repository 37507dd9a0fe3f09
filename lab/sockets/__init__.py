"""All code that uses sockets: TCP in three I/O models with the same names, UDP, netlink."""
