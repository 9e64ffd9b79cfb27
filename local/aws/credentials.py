"""AWS credentials."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    """Credentials that sign requests. Temporary ones have a session token."""

    access_key_id: str
    secret_access_key: str
    session_token: str


LOCAL_CREDENTIALS = Credentials("local", "local", "local")
"""Credentials of no role: the local AWS services allow them everything."""
