"""The link between the segments: settings made on the router, read back, measured, and kept in the record."""
