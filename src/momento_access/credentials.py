"""Credentials for Momento: the account's API key, or a disposable token."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aws_access.secrets import NoTextError, SecretError, read_secret, reread_secret

if TYPE_CHECKING:
    from momento_access.settings import MomentoSettings

_HOST = re.compile(r"[A-Za-z0-9.-]+")


class InvalidCredentialsError(ValueError):
    """A text is no API key or token of the kind that is needed. The message shows nothing of it."""


class ApiKeyError(Exception):
    """The API key cannot be read. The message names its secret."""


class InvalidApiKeyError(ApiKeyError):
    """The secret holds no API key, which somebody has to mend."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What Momento is called with, and where."""

    auth_token: str = field(repr=False)
    cache_endpoint: str
    token_endpoint: str
    port: int


def api_key_credentials(settings: MomentoSettings) -> Credentials:
    """Return credentials of the API key in Secrets Manager: a v2 key (with its endpoint) or a v1 key.

    If the secret that is kept holds no usable key, read it again, so that a mended one is taken within
    seconds. Raise `ApiKeyError`.
    """
    try:
        try:
            return _read_credentials(settings)
        except InvalidCredentialsError:
            if not reread_secret(settings.api_key_secret):
                raise
        return _read_credentials(settings)
    except NoTextError as error:
        raise InvalidApiKeyError(str(error)) from None
    except SecretError as error:
        raise ApiKeyError(str(error)) from error
    except InvalidCredentialsError as error:
        # Without the cause, whose traceback could show some of the key.
        raise InvalidApiKeyError(
            f"the secret {settings.api_key_secret} holds no Momento API key: {error}"
        ) from None


def changed_api_key_credentials(refused: Credentials, settings: MomentoSettings) -> Credentials | None:
    """Return credentials of the API key as it is now, after Momento has refused those that were kept.

    Return None if they are the same, or were read again only seconds ago. Raise `ApiKeyError`.
    """
    try:
        reread_secret(settings.api_key_secret)
    except SecretError as error:
        raise ApiKeyError(str(error)) from error
    credentials = api_key_credentials(settings)
    return credentials if credentials != refused else None


def token_credentials(auth_token: str, settings: MomentoSettings) -> Credentials:
    """Return credentials of a disposable token, as `tokens.mint_token` returns it, or of a v1 API key.

    Raise `InvalidCredentialsError` if it is neither.
    """
    try:
        fields = json.loads(base64.b64decode(auth_token, validate=True))
        api_key, endpoint = fields["api_key"], fields["endpoint"]
    except (ValueError, TypeError, KeyError, RecursionError):
        # Without the cause, which would show some of it.
        raise InvalidCredentialsError(
            "this is no v1 API key and no token; a v2 API key needs its Momento endpoint"
        ) from None
    if not (isinstance(api_key, str) and isinstance(endpoint, str)):
        raise InvalidCredentialsError("its API key or its endpoint is not a text")
    return _credentials(api_key, endpoint, settings)


def _read_credentials(settings: MomentoSettings) -> Credentials:
    api_key = read_secret(settings.api_key_secret)
    if not settings.endpoint:
        return token_credentials(api_key, settings)  # A v1 key has the form of a disposable token.
    if not _is_v2_api_key(api_key):
        raise InvalidCredentialsError("a Momento endpoint is set, and this is no v2 API key")
    return _credentials(api_key, settings.endpoint, settings)


def _credentials(auth_token: str, endpoint: str, settings: MomentoSettings) -> Credentials:
    if not auth_token or not all("!" <= character <= "~" for character in auth_token):
        raise InvalidCredentialsError(
            "it has blanks, line breaks or other characters inside that cannot be sent in a header"
        )
    if settings.local:
        host, _, port = settings.local.rpartition(":")
        return Credentials(auth_token, cache_endpoint=host, token_endpoint=host, port=int(port))
    if not _HOST.fullmatch(endpoint):
        raise InvalidCredentialsError("its endpoint is no host name")
    return Credentials(auth_token, f"cache.{endpoint}", f"token.{endpoint}", port=443)


def _is_v2_api_key(value: str) -> bool:
    """Return whether it is a JWT that says so."""
    try:
        _, claims, _ = value.split(".")
        padding = "=" * (-len(claims) % 4)
        return bool(json.loads(base64.urlsafe_b64decode(claims + padding))["t"] == "g")
    except (ValueError, TypeError, KeyError):
        return False
