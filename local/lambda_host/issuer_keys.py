"""The public keys of an issuer of JWTs.

Formats: https://datatracker.ietf.org/doc/html/rfc7517 (keys) and
https://openid.net/specs/openid-connect-discovery-1_0.html (discovery document)
"""

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from local.lambda_host.limits import MAX_KEY_SET_BYTES

logger = logging.getLogger(__name__)

# "Currently, only RSA-based algorithms are supported."
_ALGORITHMS = frozenset(["RS256", "RS384", "RS512"])
# AWS allows 1.5 s, but this machine's processors are shared.
_SECONDS_TO_ANSWER = 5.0
_SECONDS_BETWEEN_FETCHES = 5.0
# OpenSSL refuses larger keys.
_MAX_KEY_BITS = 16_384


class IssuerKeysError(Exception):
    """The issuer's keys cannot be fetched. The message is for callers and has no details."""


class IssuerKeys:
    """The keys that an issuer publishes, fetched on first use and cached.

    An unknown key id causes another fetch, because issuers rotate keys. Fetches are at least
    `seconds_between_fetches` apart, even after a failure, because anyone can invent key ids.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        issuer: str,
        jwks_url: str | None = None,
        seconds_between_fetches: float = _SECONDS_BETWEEN_FETCHES,
    ) -> None:
        """Fetch the keys from `jwks_url`, or from the URL in the issuer's discovery document."""
        self._session = session
        self._issuer = issuer
        self._jwks_url = jwks_url
        self._seconds_between_fetches = seconds_between_fetches
        self._keys: list[_Key] = []
        self._fetched_at = -float("inf")
        self._error: IssuerKeysError | None = None
        self._fetching = asyncio.Lock()

    async def matching(self, key_id: str, algorithm: str) -> list[RSAPublicKey]:
        """Return the keys with this id for this algorithm. Raise IssuerKeysError."""
        if not self._has(key_id):
            async with self._fetching:
                if (
                    not self._has(key_id)
                    and time.monotonic() - self._fetched_at >= self._seconds_between_fetches
                ):
                    await self._fetch()
            if self._error and not self._has(key_id):
                raise self._error
        return [key.public_key for key in self._keys if key.key_id == key_id and algorithm in key.algorithms]

    def _has(self, key_id: str) -> bool:
        return any(key.key_id == key_id for key in self._keys)

    async def _fetch(self) -> None:
        self._fetched_at = time.monotonic()  # Also if the fetch fails.
        try:
            document = await self._get(await self._find_jwks_url(), "jwks endpoint")
            self._keys = list(_usable_keys(document))
            self._error = None
        except IssuerKeysError as error:
            self._error = error

    async def _find_jwks_url(self) -> str:
        if self._jwks_url is not None:
            return self._jwks_url
        url = f"{self._issuer.removesuffix('/')}/.well-known/openid-configuration"
        document = await self._get(url, "OIDC discovery endpoint")
        jwks_url = document.get("jwks_uri") if isinstance(document, dict) else None
        if not isinstance(jwks_url, str):
            logger.warning("%s has no jwks_uri", url)
            raise IssuerKeysError("OIDC discovery endpoint communication error")
        return jwks_url

    async def _get(self, url: str, what: str) -> Any:
        """Return the JSON document at `url`. Raise IssuerKeysError."""
        try:
            async with self._session.get(
                url, timeout=aiohttp.ClientTimeout(total=_SECONDS_TO_ANSWER)
            ) as response:
                response.raise_for_status()
                content = bytearray()
                async for chunk in response.content.iter_any():
                    content += chunk
                    if len(content) > MAX_KEY_SET_BYTES:
                        raise ValueError(f"the answer has more than {MAX_KEY_SET_BYTES} bytes")  # noqa: TRY301
            return json.loads(content)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError) as error:
            logger.warning("No keys from %s: %s", url, str(error) or type(error).__name__)
            raise IssuerKeysError(f"{what} communication error") from error


@dataclass(frozen=True)
class _Key:
    key_id: str
    algorithms: frozenset[str]
    public_key: RSAPublicKey


def _usable_keys(document: Any) -> Iterator[_Key]:
    """Yield the keys of a JWK set that can verify signatures, and skip everything else."""
    declared_keys = document.get("keys") if isinstance(document, dict) else None
    for declared in declared_keys if isinstance(declared_keys, list) else []:
        match declared:
            case {"kty": "RSA", "kid": str(key_id), "n": str(modulus), "e": str(exponent)}:
                algorithm = declared.get("alg")
                algorithms = _ALGORITHMS if algorithm is None else _ALGORITHMS.intersection([str(algorithm)])
                public_key = _public_key(modulus, exponent)
                if algorithms and public_key and declared.get("use") in (None, "sig"):
                    yield _Key(key_id, algorithms, public_key)


def _public_key(modulus: str, exponent: str) -> RSAPublicKey | None:
    """Return the public key with these base64url numbers, or None if they are invalid."""
    try:
        # Use no other members: an issuer may publish private parts by mistake.
        key = jwt.algorithms.RSAAlgorithm.from_jwk({"kty": "RSA", "n": modulus, "e": exponent})
    except (jwt.PyJWTError, ValueError, TypeError, OverflowError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size <= _MAX_KEY_BITS else None
