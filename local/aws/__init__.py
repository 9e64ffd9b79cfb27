"""The AWS services that the functions use, on this machine."""
