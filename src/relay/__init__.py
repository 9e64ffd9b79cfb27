"""Relay: subscribes to the topic and calls the webhook for every message, as Momento's webhooks did."""
