"""The local stack: the whole system on this machine."""
