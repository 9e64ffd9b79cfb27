"""What every local server needs."""
