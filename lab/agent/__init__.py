"""Programs that the controller runs on the nodes: they poll sockets, impair packets and measure the link."""
