"""Token vendor: gives a signed-in user a short-lived Momento token that carries who they are."""
