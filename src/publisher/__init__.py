"""Publisher: services publish messages as a user."""
