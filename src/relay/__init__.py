"""Relay: subscribes to the topics and calls the webhook for every message, as Momento's webhooks did."""
