"""Webhook: takes every message of the topic, signed, and stores it under its publisher's true identity."""
