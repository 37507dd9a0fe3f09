"""Captured packets: decoded, matched across the router, and grouped into connections and datagrams."""
