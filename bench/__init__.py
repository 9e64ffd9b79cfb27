"""Benchmarks: how fast the functions and the whole loop are, beside the reference. `make bench` runs them."""
