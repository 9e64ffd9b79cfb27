"""Credentials for Momento's clients: of the account's API key, or of a disposable token."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from momento import CredentialProvider

from momento_access.secrets import read_secret, reread_secret

if TYPE_CHECKING:
    from momento_access.settings import MomentoSettings


def api_key_credentials(settings: MomentoSettings) -> CredentialProvider:
    """Credentials of the API key in Secrets Manager, a v2 key (with its endpoint) or a v1 key.

    Raises `GetParameterError` where the key cannot be read, `InvalidArgumentException` where it is no key.
    """
    api_key = read_secret(settings.api_key_secret)
    if settings.endpoint:
        return _located(CredentialProvider.from_api_key_v2(api_key, settings.endpoint), settings)
    # A v1 key has the form of a disposable token: base64 of {"endpoint", "api_key"}.
    return _located(CredentialProvider.from_disposable_token(api_key), settings)


def changed_api_key_credentials(
    refused: CredentialProvider, settings: MomentoSettings
) -> CredentialProvider | None:
    """Credentials of the API key as it is now, after Momento has refused those that were kept.

    None where they are the same, as far as is known. Raises as `api_key_credentials` does.
    """
    reread_secret(settings.api_key_secret)
    credentials = api_key_credentials(settings)
    return credentials if credentials != refused else None


def token_credentials(auth_token: str, settings: MomentoSettings) -> CredentialProvider:
    """Credentials of a disposable token, as `tokens.mint_token` returns it."""
    return _located(CredentialProvider.from_disposable_token(auth_token), settings)


def _located(credentials: CredentialProvider, settings: MomentoSettings) -> CredentialProvider:
    """The same credentials, for the local Momento where there is one."""
    if not settings.local:
        return credentials
    host, _, port = settings.local.rpartition(":")
    return dataclasses.replace(
        credentials, control_endpoint=host, cache_endpoint=host, token_endpoint=host, port=int(port)
    )
