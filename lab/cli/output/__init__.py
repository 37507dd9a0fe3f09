"""A run and its lesson in the terminal."""
