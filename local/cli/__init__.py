"""What `make run` shows of the stack."""
