"""Processes, ports, signals and rate limits for the local servers."""
