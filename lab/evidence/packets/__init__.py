"""CaptureInfo packets: decoded, matched across the router, and put together as connections and datagrams."""
