"""Token vendor: give a signed-in user a short-lived Momento token that carries their identity."""
