"""Files below a root directory: stored whole or not at all, never outside the root."""
