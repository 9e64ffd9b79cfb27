"""The JWT authorizer, with real keys fetched from a real issuer."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization

from local.lambda_host.declaration import JwtConfiguration
from local.lambda_host.host import LambdaHost
from local.lambda_host.jwt_authorizer import JwtAuthorizer, PublishedKeys, UnauthorizedError
from tests.integration.lambda_host.conftest import ISSUER, HostFactory, Issuer


async def _status(host: LambdaHost, http: aiohttp.ClientSession, authorization: str | None) -> int:
    """Ask for a token with an Authorization header; a refusal must look as API Gateway's does."""
    headers = {} if authorization is None else {"Authorization": authorization}
    async with http.post(f"{host.http_api_url}/token", headers=headers) as response:
        if response.status == 401:
            assert await response.json() == {"message": "Unauthorized"}
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
        return response.status


def _authorizer(
    http: aiohttp.ClientSession, issuer: Issuer, *, seconds_between_fetches: float
) -> JwtAuthorizer:
    keys = PublishedKeys(http, issuer.jwks_url, seconds_between_fetches)
    return JwtAuthorizer(JwtConfiguration(ISSUER, frozenset(["app"])), keys)


def _forged(header: dict[str, Any], claims: dict[str, Any], key: bytes | None = None) -> str:
    """Return a token made by hand, as no library would make it: unsigned, or signed with HS256."""

    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")

    signed = f"{part(header)}.{part(claims)}"
    signature = hmac.new(key, signed.encode(), hashlib.sha256).digest() if key else b""
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", "BEARER  ", ""])
async def test_accepts_a_token_with_and_without_its_prefix(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, prefix: str
) -> None:
    assert await _status(host, http, prefix + issuer.token()) == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "other-app"},
        {"aud": ["unknown", "app"]},
        {"aud": None, "client_id": "app"},
        {"iat": None},
        {"nbf": 1},
    ],
)
async def test_accepts_what_the_documentation_accepts(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert await _status(host, http, f"Bearer {issuer.token(**claims)}") == 200


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "https://issuer.test/other"},
        {"iss": None},
        {"aud": "unknown"},
        {"aud": ["unknown"]},
        {"aud": None},
        {"aud": "unknown", "client_id": "app"},
        {"aud": {"app": "app"}},
        {"client_id": ["unknown"], "aud": None},
        {"exp": 1},
        {"exp": None},
        {"exp": "soon"},
        {"exp": []},
        {"exp": float("inf")},
        {"nbf": time.time() + 3600},
        {"iat": time.time() + 3600},
    ],
)
async def test_refuses_claims_that_are_not_right(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert await _status(host, http, f"Bearer {issuer.token(**claims)}") == 401


async def test_refuses_a_signature_of_somebody_else(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    assert await _status(host, http, f"Bearer {issuer.token()}") == 200
    assert await _status(host, http, f"Bearer {issuer.token(signed_with='second')}") == 401
    assert await _status(host, http, f"Bearer {issuer.token(signed_with='third')}") == 401
    assert await _status(host, http, f"Bearer {issuer.token(kid='third')}") == 401


async def test_refuses_another_algorithm(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    claims = jwt.decode(issuer.token(), options={"verify_signature": False})
    public_key = issuer.keys["first"].public_key()
    pem = public_key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for token in (
        _forged({"alg": "none", "kid": "first"}, claims),
        _forged({"alg": "None", "kid": "first"}, claims),
        _forged({"alg": "HS256", "kid": "first"}, claims, pem),
        _forged({"alg": "RS256"}, claims),
        _forged({"alg": "RS256", "kid": 5}, claims),
        _forged({"alg": ["RS256"], "kid": "first"}, claims),
    ):
        assert await _status(host, http, f"Bearer {token}") == 401


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        "Bearer a.b.c",
        "Basic dXNlcjpwYXNz",
        "Bearer ä.ö.ü",
        "Bearer ...",
    ],
)
async def test_refuses_what_is_no_token(
    host: LambdaHost, http: aiohttp.ClientSession, authorization: str | None
) -> None:
    assert await _status(host, http, authorization) == 401


async def test_refuses_a_token_that_is_nested_too_deep(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    assert await _status(host, http, f"Bearer {deep}.e30.e30") == 401


async def test_says_why_a_token_is_refused_and_asks_for_one_where_there_is_none(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    async with http.post(f"{host.http_api_url}/token") as response:
        assert response.headers["WWW-Authenticate"] == "Bearer"
    headers = {"Authorization": f"Bearer {issuer.token(exp=1)}"}
    async with http.post(f"{host.http_api_url}/token", headers=headers) as response:
        assert response.headers["WWW-Authenticate"].startswith(
            'Bearer scope="" error="invalid_token" error_description="'
        )


async def test_fetches_keys_once_and_not_for_every_made_up_key_id(
    http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    authorizer = _authorizer(http, issuer, seconds_between_fetches=3600)
    for _ in range(3):
        assert await authorizer.claims(issuer.token())
    issuer.published = ["first", "second", "third"]
    for _ in range(3):
        with pytest.raises(UnauthorizedError):
            await authorizer.claims(issuer.token(kid="third"))
    assert issuer.fetches == 1


async def test_asks_an_issuer_that_fails_no_more_often(http: aiohttp.ClientSession, issuer: Issuer) -> None:
    issuer.status = 500
    authorizer = _authorizer(http, issuer, seconds_between_fetches=3600)
    for _ in range(3):
        with pytest.raises(UnauthorizedError):
            await authorizer.claims(issuer.token())
    assert issuer.fetches == 1


async def test_fetches_keys_anew_when_they_rotate(http: aiohttp.ClientSession, issuer: Issuer) -> None:
    authorizer = _authorizer(http, issuer, seconds_between_fetches=0)
    assert (await authorizer.claims(issuer.token()))["sub"] == "someone"
    issuer.published = ["third"]
    assert (await authorizer.claims(issuer.token(kid="third")))["sub"] == "someone"
    with pytest.raises(UnauthorizedError):
        await authorizer.claims(issuer.token(kid="gone", signed_with="third"))


async def test_refuses_all_tokens_where_the_issuer_cannot_be_asked(
    start_host: HostFactory, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    async with start_host(jwks_urls={ISSUER: "http://127.0.0.1:1/jwks.json"}) as host:
        assert await _status(host, http, f"Bearer {issuer.token()}") == 401
