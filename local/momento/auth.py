"""Authentication and permissions: the super-user's API key, and the disposable tokens of this server."""

import base64
import hmac
import json
import math
import secrets
import time
from dataclasses import dataclass

import jwt
from momento_wire_types import permissionmessages_pb2

from local.momento.errors import permission_denied, unauthenticated
from local.momento.rpcs import READ, READ_WRITE, WRITE, Access

_ALGORITHM = "HS256"

_CACHE_ROLES = {
    permissionmessages_pb2.CacheReadWrite: READ_WRITE,
    permissionmessages_pb2.CacheReadOnly: READ,
    permissionmessages_pb2.CacheWriteOnly: WRITE,
}
_TOPIC_ROLES = {
    permissionmessages_pb2.TopicReadWrite: READ_WRITE,
    permissionmessages_pb2.TopicReadOnly: READ,
    permissionmessages_pb2.TopicWriteOnly: WRITE,
}


def make_api_key() -> str:
    """Return a new super-user key in the form of Momento's v2 keys: a JWT whose claim `t` is `g`.

    The SDKs read only that claim (`momento.auth.momento_endpoint_resolver`). This server compares the whole
    string, so it needs no key to verify the JWT.
    """
    claims = {"t": "g", "id": secrets.token_urlsafe(16)}
    return jwt.encode(claims, secrets.token_bytes(32), algorithm=_ALGORITHM)


@dataclass(frozen=True)
class Caller:
    """An authenticated caller.

    `permissions` is None for the super-user. `token_id` is the id in the token, and `""` for API keys.
    `expires_at` is in epoch seconds, and infinite for API keys.
    """

    permissions: permissionmessages_pb2.ExplicitPermissions | None
    token_id: str = ""
    expires_at: float = math.inf

    @property
    def is_super_user(self) -> bool:
        return self.permissions is None

    def require_super_user(self) -> None:
        """Raise PERMISSION_DENIED if the caller is not the super-user."""
        if not self.is_super_user:
            raise permission_denied("only the account's API key may do this")

    def require_item_access(self, cache: str, key: bytes, access: Access) -> None:
        """Raise PERMISSION_DENIED unless the caller has `access` to the item `key` of `cache`."""
        if self.permissions is None:
            return
        granted = Access.NONE
        for statement in self.permissions.permissions:
            if statement.WhichOneof("kind") == "cache_permissions":
                granted |= _granted_on_item(statement.cache_permissions, cache, key)
        if access not in granted:
            raise permission_denied(f"no {access.name} access to this item of cache {cache}")

    def require_topic_access(self, cache: str, topic: str, access: Access) -> None:
        """Raise PERMISSION_DENIED unless the caller may subscribe (READ) or publish (WRITE) to `topic`."""
        if self.permissions is None:
            return
        granted = Access.NONE
        for statement in self.permissions.permissions:
            if statement.WhichOneof("kind") == "topic_permissions":
                granted |= _granted_on_topic(statement.topic_permissions, cache, topic)
        if access not in granted:
            raise permission_denied(f"no {access.name} access to topic {topic} of cache {cache}")


SUPER_USER = Caller(permissions=None)


def _granted_on_item(
    statement: permissionmessages_pb2.PermissionsType.CachePermissions, cache: str, key: bytes
) -> Access:
    if not _covers_cache(statement, cache):
        return Access.NONE
    # The SDKs send no item selector if a statement is for the whole cache.
    if statement.WhichOneof("cache_item") == "item_selector":
        selector = statement.item_selector
        match selector.WhichOneof("kind"):
            case "key" if selector.key == key:
                pass
            case "key_prefix" if key.startswith(selector.key_prefix):
                pass
            case _:
                return Access.NONE
    return _CACHE_ROLES.get(statement.role, Access.NONE)


def _granted_on_topic(
    statement: permissionmessages_pb2.PermissionsType.TopicPermissions, cache: str, topic: str
) -> Access:
    if not _covers_cache(statement, cache):
        return Access.NONE
    if statement.WhichOneof("topic") == "topic_selector":
        selector = statement.topic_selector
        match selector.WhichOneof("kind"):
            case "topic_name" if selector.topic_name == topic:
                pass
            case "topic_name_prefix" if topic.startswith(selector.topic_name_prefix):
                pass
            case _:
                return Access.NONE
    return _TOPIC_ROLES.get(statement.role, Access.NONE)


def _covers_cache(
    statement: permissionmessages_pb2.PermissionsType.CachePermissions
    | permissionmessages_pb2.PermissionsType.TopicPermissions,
    cache: str,
) -> bool:
    match statement.WhichOneof("cache"):
        case "all_caches":
            return True
        case "cache_selector":
            return statement.cache_selector.cache_name == cache
        case _:
            return False


class Authority:
    """Verify API keys and tokens, and mint disposable tokens."""

    def __init__(self, api_key: str, *, required: bool = True) -> None:
        """Use `api_key` as the super-user's key.

        `required=False` accepts an empty token as the super-user's, as Momento Local does. A v1 key is
        unwrapped, because the SDKs send only the key inside it.
        """
        self._api_key = (_inner_api_key(api_key) or api_key).encode()
        self._required = required
        self._token_key = secrets.token_bytes(32)

    def authenticate(self, credential: str) -> Caller:
        """Return the caller with `credential`, an API key or token, plain or in the v1 form (base64).

        Raise UNAUTHENTICATED.
        """
        if not credential and not self._required:
            return SUPER_USER
        credential = _inner_api_key(credential) or credential
        if hmac.compare_digest(credential.encode(), self._api_key):
            return SUPER_USER
        try:
            claims = jwt.decode(
                credential,
                self._token_key,
                algorithms=[_ALGORITHM],
                options={"require": ["exp", "permissions", "token_id"]},
            )
        except jwt.ExpiredSignatureError:
            raise unauthenticated("The token has expired") from None
        except jwt.InvalidTokenError:
            raise unauthenticated("Missing or invalid credentials") from None
        permissions = permissionmessages_pb2.ExplicitPermissions.FromString(
            base64.b64decode(claims["permissions"])
        )
        return Caller(permissions, claims["token_id"], claims["exp"])

    def mint(
        self, permissions: permissionmessages_pb2.ExplicitPermissions, token_id: str, valid_for_seconds: int
    ) -> tuple[str, int]:
        """Return a disposable token, and the epoch second at which it expires."""
        expires_at = int(time.time()) + valid_for_seconds
        claims = {
            "exp": expires_at,
            "token_id": token_id,
            "permissions": base64.b64encode(permissions.SerializeToString()).decode(),
            # Makes tokens that are minted in the same second different.
            "jti": secrets.token_urlsafe(8),
        }
        return jwt.encode(claims, self._token_key, algorithm=_ALGORITHM), expires_at


def _inner_api_key(credential: str) -> str | None:
    """Return the key in a v1 key (base64 of `{"endpoint", "api_key"}`), or None if it is not a v1 key."""
    try:
        decoded = json.loads(base64.b64decode(credential, validate=True))
    except (ValueError, RecursionError):
        return None
    if isinstance(decoded, dict) and isinstance(decoded.get("api_key"), str):
        return str(decoded["api_key"])
    return None
