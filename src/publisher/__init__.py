"""Publisher: services publish comments as a user."""
