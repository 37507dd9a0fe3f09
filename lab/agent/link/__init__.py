"""On the router: a link's settings, and its packet queues. On the hosts: the probes that measure it."""
