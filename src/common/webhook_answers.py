"""What the webhook's answers say to its callers."""

from __future__ import annotations

OTHER_STACK = "this webhook is not for that cache and topic"
"""Part of the message of a 400 to a request that is meant for another stack, or for other parameters."""
