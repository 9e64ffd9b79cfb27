"""Faults, one at a time and together, under a steady load: is every message stored once, and for whom?

`make chaos`, or `python -m tests.chaos --help`.
"""
