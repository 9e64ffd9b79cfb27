"""Benchmarks of the functions, the relay and the whole loop, compared with the reference: `make bench`."""
