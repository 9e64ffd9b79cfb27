"""Credentials for Momento: of the account's API key, or of a disposable token."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from momento_access.secrets import read_secret, reread_secret

if TYPE_CHECKING:
    from momento_access.settings import MomentoSettings


class InvalidCredentialsError(ValueError):
    """This is no API key, or no token, of the kind asked for."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Momento is called with, and where."""

    auth_token: str = field(repr=False)
    cache_endpoint: str
    token_endpoint: str
    port: int


def api_key_credentials(settings: MomentoSettings) -> Credentials:
    """Credentials of the API key in Secrets Manager, a v2 key (with its endpoint) or a v1 key.

    Raises `GetParameterError` where the key cannot be read, `InvalidCredentialsError` where it is no key.
    """
    api_key = read_secret(settings.api_key_secret)
    if not settings.endpoint:
        return token_credentials(api_key, settings)  # A v1 key has the form of a disposable token.
    if not _is_v2_api_key(api_key):
        raise InvalidCredentialsError("this is no v2 API key, which is what belongs to a Momento endpoint")
    return _credentials(api_key, settings.endpoint, settings)


def changed_api_key_credentials(refused: Credentials, settings: MomentoSettings) -> Credentials | None:
    """Credentials of the API key as it is now, after Momento has refused those that were kept.

    None where they are the same, as far as is known. Raises as `api_key_credentials` does.
    """
    reread_secret(settings.api_key_secret)
    credentials = api_key_credentials(settings)
    return credentials if credentials != refused else None


def token_credentials(auth_token: str, settings: MomentoSettings) -> Credentials:
    """Credentials of a disposable token, as `tokens.mint_token` returns it.

    Raises `InvalidCredentialsError` where it is none.
    """
    try:
        fields = json.loads(base64.b64decode(auth_token, validate=True))
        return _credentials(fields["api_key"], fields["endpoint"], settings)
    except (ValueError, TypeError, KeyError):
        # Without the cause, which would show some of it.
        raise InvalidCredentialsError(
            "this is no v1 API key and no token; a v2 API key needs its Momento endpoint"
        ) from None


def _credentials(auth_token: str, endpoint: str, settings: MomentoSettings) -> Credentials:
    if settings.local:
        host, _, port = settings.local.rpartition(":")
        return Credentials(auth_token, cache_endpoint=host, token_endpoint=host, port=int(port))
    return Credentials(auth_token, f"cache.{endpoint}", f"token.{endpoint}", port=443)


def _is_v2_api_key(value: str) -> bool:
    """Whether it is a JWT that says so."""
    try:
        _, claims, _ = value.split(".")
        padding = "=" * (-len(claims) % 4)
        return bool(json.loads(base64.urlsafe_b64decode(claims + padding))["t"] == "g")
    except (ValueError, TypeError, KeyError):
        return False
