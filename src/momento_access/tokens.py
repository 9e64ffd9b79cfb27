"""Disposable tokens that carry a user's identity and may do what is written in them, nothing else.

Momento's SDK cannot mint a token with permissions for a topic and for single cache keys at once, so these are
minted with the stub that the SDK is made on.
"""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from momento_wire_types import permissionmessages_pb2 as permissions
from momento_wire_types import token_pb2 as token_messages
from momento_wire_types import token_pb2_grpc as token_service

from momento_access.channels import MomentoError, call_metadata, open_channel
from momento_access.credentials import api_key_credentials, changed_api_key_credentials
from momento_access.secrets import READ_TIMEOUT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from momento_access.credentials import Credentials
    from momento_access.settings import MomentoSettings

_CALL_TIMEOUT_SECONDS = 2

MINT_TIMEOUT_SECONDS = 2 * (READ_TIMEOUT_SECONDS + _CALL_TIMEOUT_SECONDS)
"""How long minting a token takes at most: twice, with the API key read anew between."""

_RETRY_BROKEN_CONNECTIONS = {
    "name": [{"service": "token.Token"}],
    "retryPolicy": {
        "maxAttempts": 3,
        "initialBackoff": "0.05s",
        "maxBackoff": "0.5s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    },
}

_CHANNEL_OPTIONS = (
    # By default, gRPC waits up to two minutes before it connects again.
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A connection that was cut while Lambda kept the function frozen shows only when it is used.
    ("grpc.service_config", json.dumps({"methodConfig": [_RETRY_BROKEN_CONNECTIONS]})),
)


class MintingError(MomentoError):
    """Momento did not mint a token."""

    def __init__(self, code: grpc.StatusCode) -> None:
        super().__init__(code, "Momento did not mint a token:")


class MintingLimitError(MintingError):
    """The account's limit (5 tokens a second) is reached; another try a second later may succeed."""


@dataclass(frozen=True, slots=True)
class Token:
    """A disposable token, in the form that Momento's clients take."""

    auth_token: str
    endpoint: str
    expires_at: int
    """Epoch seconds."""

    def __repr__(self) -> str:
        return f"Token(endpoint={self.endpoint!r}, expires_at={self.expires_at})"


def may_use_topic(cache: str, topic: str, role: permissions.TopicRole) -> permissions.PermissionsType:
    """Permission to use one topic in the given role."""
    return permissions.PermissionsType(
        topic_permissions=permissions.PermissionsType.TopicPermissions(
            role=role,
            cache_selector=permissions.PermissionsType.CacheSelector(cache_name=cache),
            topic_selector=permissions.PermissionsType.TopicSelector(topic_name=topic),
        )
    )


def may_read_key(cache: str, key: str) -> permissions.PermissionsType:
    """Permission to read one key of a cache."""
    return permissions.PermissionsType(
        cache_permissions=permissions.PermissionsType.CachePermissions(
            role=permissions.CacheReadOnly,
            cache_selector=permissions.PermissionsType.CacheSelector(cache_name=cache),
            item_selector=permissions.PermissionsType.CacheItemSelector(key=key.encode()),
        )
    )


def mint_token(
    settings: MomentoSettings,
    token_id: str,
    scope: Sequence[permissions.PermissionsType],
    lifetime_seconds: int,
) -> Token:
    """Mints a token that carries `token_id` and may do what `scope` says, at most 20 statements.

    Raises `MintingLimitError` where Momento's limit is reached, `MintingError` where Momento fails, and
    `GetParameterError` where the API key cannot be read.
    """
    credentials = api_key_credentials(settings)
    try:
        return _mint(credentials, token_id, scope, lifetime_seconds)
    except MintingError as error:
        if error.code is not grpc.StatusCode.UNAUTHENTICATED:
            raise
        changed = changed_api_key_credentials(credentials, settings)
        if changed is None:
            raise
    return _mint(changed, token_id, scope, lifetime_seconds)


def _mint(
    credentials: Credentials,
    token_id: str,
    scope: Sequence[permissions.PermissionsType],
    lifetime_seconds: int,
) -> Token:
    request = token_messages._GenerateDisposableTokenRequest(
        expires=token_messages._GenerateDisposableTokenRequest.Expires(valid_for_seconds=lifetime_seconds),
        auth_token=credentials.auth_token,
        permissions=permissions.Permissions(explicit=permissions.ExplicitPermissions(permissions=scope)),
        token_id=token_id,
    )
    stub = _stub(credentials.token_endpoint, credentials.port)
    try:
        minted = stub.GenerateDisposableToken(
            request,
            timeout=_CALL_TIMEOUT_SECONDS,
            wait_for_ready=True,
            metadata=call_metadata(credentials, "auth"),
        )
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            raise MintingLimitError(error.code()) from error
        raise MintingError(error.code()) from error
    packed = json.dumps({"endpoint": minted.endpoint, "api_key": minted.api_key})
    return Token(
        auth_token=base64.b64encode(packed.encode()).decode(),
        endpoint=minted.endpoint,
        expires_at=minted.valid_until,
    )


@functools.lru_cache(maxsize=1)
def _stub(endpoint: str, port: int) -> token_service.TokenStub:
    return token_service.TokenStub(open_channel(endpoint, port, _CHANNEL_OPTIONS))
