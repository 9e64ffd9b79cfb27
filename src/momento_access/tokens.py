"""Disposable tokens that carry a user's identity and a set of permissions.

Momento's SDK cannot mint a token that permits topics and single cache keys together (`DisposableTokenScope`
is one or the other), so these are minted with the generated stub.
"""

from __future__ import annotations

import base64
import functools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from momento_wire_types import permissionmessages_pb2 as messages
from momento_wire_types import token_pb2 as token_messages
from momento_wire_types import token_pb2_grpc as token_service

from aws_access.secrets import READ_TIMEOUT_SECONDS
from momento_access.connection import StubConnection, call_metadata
from momento_access.credentials import api_key_credentials, changed_api_key_credentials
from momento_access.errors import MomentoError, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from momento_access.credentials import Credentials
    from momento_access.permissions import Permissions
    from momento_access.settings import MomentoSettings

_CALL_TIMEOUT_SECONDS = 2

MINT_TIMEOUT_SECONDS = 2 * (READ_TIMEOUT_SECONDS + _CALL_TIMEOUT_SECONDS)
"""How long minting a token takes at most: two attempts, and reading the API key before each."""


class MintingError(MomentoError):
    """Momento did not mint a token."""

    def __init__(self, status: Status) -> None:
        super().__init__(status, "Momento did not mint a token:")


class MintingLimitError(MintingError):
    """The account's limit (5 tokens a second) is reached. Another attempt a second later may succeed."""


@dataclass(frozen=True, slots=True)
class Token:
    """A disposable token, in the form that Momento's clients take."""

    auth_token: str
    endpoint: str
    expires_at: int
    """Epoch seconds."""

    def __repr__(self) -> str:
        return f"Token(endpoint={self.endpoint!r}, expires_at={self.expires_at})"


def mint_token(
    settings: MomentoSettings, token_id: str, permissions: Permissions, lifetime_seconds: int
) -> Token:
    """Mint a token that carries `token_id`, with at most `STATEMENTS_MAX` permission statements.

    Raise `MintingLimitError` at Momento's limit, `MintingError` if Momento fails, and `ApiKeyError`.
    """
    credentials = api_key_credentials(settings)
    try:
        return _mint(credentials, settings.cache_name, token_id, permissions, lifetime_seconds)
    except MintingError as error:
        match error.status:
            case Status.UNAUTHENTICATED:
                changed = changed_api_key_credentials(credentials, settings)
                if changed is None:
                    raise
                credentials = changed
            case Status.UNAVAILABLE:
                pass  # A connection that broke while Lambda kept the function frozen; the next one may work.
            case _:
                raise
    return _mint(credentials, settings.cache_name, token_id, permissions, lifetime_seconds)


def _mint(
    credentials: Credentials, cache: str, token_id: str, permissions: Permissions, lifetime_seconds: int
) -> Token:
    explicit = messages.ExplicitPermissions(permissions=_statements(cache, permissions))
    request = token_messages._GenerateDisposableTokenRequest(
        expires=token_messages._GenerateDisposableTokenRequest.Expires(valid_for_seconds=lifetime_seconds),
        auth_token=credentials.auth_token,
        permissions=messages.Permissions(explicit=explicit),
        token_id=token_id,
    )
    connection = _connection(credentials.token_endpoint, credentials.port)
    metadata = call_metadata(credentials, "auth")
    try:
        minted = connection.call("GenerateDisposableToken", request, _CALL_TIMEOUT_SECONDS, metadata)
    except MomentoError as error:
        limit_reached = error.status is Status.RESOURCE_EXHAUSTED
        raise (MintingLimitError if limit_reached else MintingError)(error.status) from error
    packed = json.dumps({"endpoint": minted.endpoint, "api_key": minted.api_key})
    return Token(
        auth_token=base64.b64encode(packed.encode()).decode(),
        endpoint=minted.endpoint,
        expires_at=minted.valid_until,
    )


@functools.lru_cache(maxsize=1)
def _connection(endpoint: str, port: int) -> StubConnection:
    return StubConnection(token_service.TokenStub, endpoint, port)


def _statements(cache: str, permissions: Permissions) -> Iterator[messages.PermissionsType]:
    """Yield the permission statements of Momento's protocol."""
    topic = messages.PermissionsType.TopicSelector
    item = messages.PermissionsType.CacheItemSelector
    both = permissions.publish & permissions.subscribe
    roles = (
        (messages.TopicReadWrite, both),
        (messages.TopicWriteOnly, permissions.publish - both),
        (messages.TopicReadOnly, permissions.subscribe - both),
    )
    for role, names in roles:
        for name in sorted(names):
            yield _topic_statement(cache, role, topic(topic_name=name))
    for prefix in sorted(permissions.subscribe_below):
        yield _topic_statement(cache, messages.TopicReadOnly, topic(topic_name_prefix=prefix))
    for key in sorted(permissions.read):
        yield _read_statement(cache, item(key=key.encode()))
    for prefix in sorted(permissions.read_below):
        yield _read_statement(cache, item(key_prefix=prefix.encode()))


def _topic_statement(
    cache: str, role: messages.TopicRole, topics: messages.PermissionsType.TopicSelector
) -> messages.PermissionsType:
    return messages.PermissionsType(
        topic_permissions=messages.PermissionsType.TopicPermissions(
            role=role,
            cache_selector=messages.PermissionsType.CacheSelector(cache_name=cache),
            topic_selector=topics,
        )
    )


def _read_statement(
    cache: str, items: messages.PermissionsType.CacheItemSelector
) -> messages.PermissionsType:
    return messages.PermissionsType(
        cache_permissions=messages.PermissionsType.CachePermissions(
            role=messages.CacheReadOnly,
            cache_selector=messages.PermissionsType.CacheSelector(cache_name=cache),
            item_selector=items,
        )
    )
