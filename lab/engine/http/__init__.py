"""Requests to the Docker Engine over HTTP, with the standard library."""
