"""The AWS services that the functions use, on one machine."""
