"""The terminal output of `make run` and `make demo`."""
