"""Momento on this machine: a server of its wire protocol, for the unmodified SDKs."""
