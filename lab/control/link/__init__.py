"""The link between the segments: its settings are applied on the router, read back, measured and recorded."""
