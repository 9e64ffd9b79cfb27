"""Momento's webhook signature, and its advice against replays."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import timedelta

SIGNATURE_HEADER = "momento-signature"


class UntrustedError(Exception):
    """The request is not signed by who holds the secret, or was not signed just now."""


def sign(body: bytes, secret: str) -> str:
    """The signature of a request: lower-case hex of HMAC with SHA3-256 over the raw body."""
    return hmac.new(secret.encode(), body, "sha3_256").hexdigest()


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Whether `signature` is the body's; takes the same time wherever they differ."""
    return hmac.compare_digest(sign(body, secret).encode(), signature.encode(errors="replace"))


def verify_recent(publish_timestamp: int, now: float, window: timedelta) -> None:
    """Raises `UntrustedError` where `publish_timestamp` (epoch ms) is not within `window` of `now` (s)."""
    if abs(now * 1000 - publish_timestamp) > window.total_seconds() * 1000:
        raise UntrustedError("outside the replay window")
