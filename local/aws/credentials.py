"""AWS credentials."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Credentials:
    """What requests are signed with; temporary ones have a session token."""

    access_key_id: str
    secret_access_key: str
    session_token: str


LOCAL_CREDENTIALS = Credentials("local", "local", "local")
"""Nobody's in particular: with them, the local AWS services allow everything."""
