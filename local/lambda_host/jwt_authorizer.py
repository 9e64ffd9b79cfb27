"""The JWT authorizer of HTTP APIs: whether a request carries a token of the issuer, meant for this API.

As documented: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import asyncio
import time
from typing import Any

import aiohttp
import jwt

from local.lambda_host.declaration import JwtConfiguration

# "Currently, only RSA-based algorithms are supported."
_ALGORITHMS = ["RS256", "RS384", "RS512"]
_WHAT_A_TOKEN_CAN_BREAK = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)


class UnauthorizedError(Exception):
    """The request carries no valid token. `description` says why; None where it carries none at all."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description or "no token")
        self.description = description


class JwtAuthorizer:
    """Verifies tokens with the keys that the issuer publishes."""

    def __init__(self, configuration: JwtConfiguration, keys: "PublishedKeys") -> None:
        """Accept what `configuration` says, signed with one of `keys`."""
        self._configuration = configuration
        self._keys = keys

    async def claims(self, authorization: str | None) -> dict[str, Any]:
        """Return the verified claims of the token in an Authorization header.

        The header holds the token, with or without `Bearer` before it. Raises UnauthorizedError.
        """
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        token = credentials.strip() if scheme.lower() == "bearer" else (authorization or "").strip()
        if not token:
            raise UnauthorizedError(None)
        try:
            key = await self._keys.get(jwt.get_unverified_header(token).get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                issuer=self._configuration.issuer,
                # API Gateway's own rule for the audience follows below.
                options={"require": ["exp", "iss"], "verify_aud": False},
            )
        except _WHAT_A_TOKEN_CAN_BREAK as error:
            raise UnauthorizedError(str(error)) from error
        audience = claims.get("aud", claims.get("client_id"))
        meant_for = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in self._configuration.audience for one in meant_for):
            raise UnauthorizedError("invalid audience")
        return claims


class PublishedKeys:
    """The signing keys that an issuer publishes (JWKS), fetched when first needed and kept.

    A key id that is not among them makes them be fetched anew, as keys rotate; at most once in
    `seconds_between_fetches`, successfully or not, as anybody can make up key ids.
    """

    def __init__(
        self, session: aiohttp.ClientSession, url: str, seconds_between_fetches: float = 5.0
    ) -> None:
        """Fetch from `url`."""
        self._session = session
        self._url = url
        self._seconds_between_fetches = seconds_between_fetches
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = -float("inf")
        self._fetching = asyncio.Lock()

    async def get(self, key_id: str | None) -> jwt.PyJWK:
        """Return the key of that id; raises UnauthorizedError where there is none, or no way to know."""
        if key_id is None:
            raise UnauthorizedError("kid is missing")
        if key_id not in self._keys:
            async with self._fetching:
                if time.monotonic() - self._fetched_at >= self._seconds_between_fetches:
                    await self._fetch()
        try:
            return self._keys[key_id]
        except KeyError:
            raise UnauthorizedError("unable to find a signing key that matches kid") from None

    async def _fetch(self) -> None:
        self._fetched_at = time.monotonic()  # Before it is known whether that succeeds.
        try:
            async with self._session.get(self._url, timeout=aiohttp.ClientTimeout(total=5)) as response:
                response.raise_for_status()
                document = await response.json(content_type=None)
            keys = jwt.PyJWKSet.from_dict(document).keys
        except (aiohttp.ClientError, TimeoutError, jwt.PyJWTError, ValueError) as error:
            raise UnauthorizedError(f"cannot fetch the issuer's keys from {self._url}: {error}") from error
        self._keys = {key.key_id: key for key in keys if key.key_id is not None}


def claims_as_text(claims: dict[str, Any]) -> dict[str, str]:
    """Return claims as events carry them: all values are text, lists in the form `[a b]`."""
    return {name: _text(value) for name, value in claims.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{' '.join(map(_text, value))}]"
    return str(value)
