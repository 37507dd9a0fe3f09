"""Socket Lab beside what one would use instead. ``python -m benchmarks``; a module here with ``measure`` is
one of them.
"""
