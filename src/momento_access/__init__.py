"""Access to Momento: where it is, the credentials for it, and tokens that carry a user's identity."""
