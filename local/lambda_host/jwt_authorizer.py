"""The JWT authorizer of HTTP APIs: it verifies the token in a request.

Reference: https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-jwt-authorizer.html
"""

import json
import math
import time
from typing import Any

import jwt

from local.lambda_host.declaration import JwtConfiguration
from local.lambda_host.issuer_keys import IssuerKeys, IssuerKeysError

_TOKEN_ERRORS = (jwt.PyJWTError, ValueError, TypeError, ArithmeticError, RecursionError)


class UnauthorizedError(Exception):
    """The request has no valid token. `description` says why, or is None if there is no token at all."""

    def __init__(self, description: str | None) -> None:
        super().__init__(description or "no token")
        self.description = description


class JwtAuthorizer:
    """Verify tokens with the keys that the issuer publishes."""

    def __init__(self, configuration: JwtConfiguration, keys: IssuerKeys) -> None:
        """Accept tokens that match `configuration` and are signed with one of `keys`."""
        self._configuration = configuration
        self._keys = keys

    async def claims(self, authorization: str | None) -> dict[str, str]:
        """Return the verified claims of the token in an Authorization header, as text, as in events.

        The token may have `Bearer` before it. Raise UnauthorizedError.
        """
        scheme, _, credentials = (authorization or "").strip().partition(" ")
        token = credentials.strip() if scheme.lower() == "bearer" else (authorization or "").strip()
        if not token:
            raise UnauthorizedError(None)
        try:
            payload = await self._verified_payload(token)
            claims = json.loads(payload)
            if not isinstance(claims, dict):
                raise UnauthorizedError("the claims are not an object")
            self._check(claims)
            return claims_as_text(payload)
        except _TOKEN_ERRORS as error:
            raise UnauthorizedError(str(error)) from error

    async def _verified_payload(self, token: str) -> str:
        """Return the payload of a token after verifying its signature. Raise UnauthorizedError."""
        header = jwt.get_unverified_header(token)
        key_id, algorithm = header.get("kid"), str(header.get("alg"))
        if not isinstance(key_id, str):
            raise UnauthorizedError("kid is missing")
        try:
            keys = await self._keys.matching(key_id, algorithm)
        except IssuerKeysError as error:
            raise UnauthorizedError(str(error)) from error
        if not keys:
            raise UnauthorizedError("unable to find a signing key that matches kid and alg")
        for key in keys:
            try:
                payload: bytes = jwt.PyJWS().decode(token, key, algorithms=[algorithm])
            except jwt.InvalidSignatureError:
                continue
            return payload.decode()
        raise UnauthorizedError("signature is invalid")

    def _check(self, claims: dict[str, Any]) -> None:
        """Check only the claims that API Gateway documents. Raise UnauthorizedError."""
        now = time.time()
        if claims.get("iss") != self._configuration.issuer:
            raise UnauthorizedError("invalid issuer")
        audience = claims.get("aud")
        if audience is None:
            audience = claims.get("client_id")
        audiences = audience if isinstance(audience, list) else [audience]
        if not any(isinstance(one, str) and one in self._configuration.audience for one in audiences):
            raise UnauthorizedError("invalid audience")
        if (expires_at := _time(claims, "exp")) is None or expires_at <= now:
            raise UnauthorizedError("the token has expired")
        for name in ("nbf", "iat"):
            if (since := _time(claims, name)) is not None and since > now:
                raise UnauthorizedError(f"the token is not valid yet ({name})")


def claims_as_text(payload: str) -> dict[str, str]:
    """Return the claims in a JSON object as API Gateway prints them in events, in Go's format.

    Numbers keep their notation, lists become `[a b]`, and objects `map[key:value]`. Null claims are left out.
    """
    claims = json.loads(payload, parse_int=str, parse_float=str)
    return {name: _text(value) for name, value in claims.items() if value is not None}


def _text(value: Any) -> str:
    match value:
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
        case list():
            return f"[{' '.join(map(_text, value))}]"
        case dict():
            return f"map[{' '.join(f'{name}:{_text(value[name])}' for name in sorted(value))}]"
        case _:
            return str(value)


def _time(claims: dict[str, Any], name: str) -> float | None:
    """Return the time in a claim, in epoch seconds, or None if the claim is missing."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise UnauthorizedError(f"{name} is not a number")
    return value
