"""The signature of Momento's webhook requests, which the relay makes and the webhook checks.

It is lower-case hex of HMAC with SHA3-256 over the raw request body, keyed with the signing secret.
"""

from __future__ import annotations

import hmac

SIGNATURE_HEADER = "momento-signature"


def sign(body: bytes, secret: str) -> str:
    """Return the signature of a request body."""
    return hmac.new(secret.encode(), body, "sha3_256").hexdigest()


def is_signed(body: bytes, signature: str, secret: str) -> bool:
    """Return whether `signature` is the body's. Compare in constant time."""
    return hmac.compare_digest(sign(body, secret).encode(), signature.encode(errors="replace"))
