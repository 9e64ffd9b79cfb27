"""Small modules that several functions use: input, identities, the webhook's signature, pauses."""
