"""Benchmarks that compare the lab with the tools that it replaces: ``python -m benchmarks``.

Each module with a function ``measure`` is a benchmark.
"""
