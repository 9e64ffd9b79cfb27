"""Webhook: verify each message and act on it under its publisher's true identity."""
