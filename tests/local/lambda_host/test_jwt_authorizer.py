"""The JWT authorizer, with real keys fetched from a real issuer."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from local.cloudformation.template import Template
from local.lambda_host.declaration import JwtConfiguration
from local.lambda_host.host import LambdaHost
from local.lambda_host.issuer_keys import IssuerKeys
from local.lambda_host.jwt_authorizer import JwtAuthorizer, UnauthorizedError
from tests.support.jwt_issuer import ISSUER, Issuer
from tests.support.lambda_host import FOLDER, HostFactory


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
    keys = IssuerKeys(http, ISSUER, issuer.jwks_url, seconds_between_fetches)
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
        {"aud": [5, "app"]},
        {"iat": None},
        {"nbf": 1},
        {"exp": time.time() + 36_000.5},
        {"sub": None},
        {"sub": 5},
        {"sub": {"id": 5}},
        {"jti": 5},
        {"typ": ["anything"], "azp": 1},
    ],
)
async def test_accepts_the_claims_that_the_documentation_accepts(
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
        {"nbf": "1"},
        {"iat": time.time() + 3600},
        {"iat": True},
        {"iss": ["https://issuer.test/pool"]},
        {"iss": "https://issuer.test/pool/"},
        {"exp": 10**400},
    ],
)
async def test_refuses_wrong_claims(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, claims: dict[str, Any]
) -> None:
    assert await _status(host, http, f"Bearer {issuer.token(**claims)}") == 401


@pytest.mark.parametrize("claims", [{"aud": None, "client_id": "app"}, {"nbf": None}, {"iat": None}])
async def test_treats_a_null_claim_as_missing(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, claims: dict[str, Any]
) -> None:
    token = issuer.signed({**issuer.claims(), **claims})
    assert await _status(host, http, f"Bearer {token}") == 200


@pytest.mark.parametrize("claims", [[], ["iss"], "text", 5, None, {}])
async def test_refuses_a_payload_that_is_not_an_object(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, claims: object
) -> None:
    assert await _status(host, http, f"Bearer {issuer.signed(claims)}") == 401


async def test_refuses_a_signature_by_another_key(
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
async def test_refuses_text_that_is_not_a_token(
    host: LambdaHost, http: aiohttp.ClientSession, authorization: str | None
) -> None:
    assert await _status(host, http, authorization) == 401


async def test_refuses_a_token_that_is_nested_too_deep(host: LambdaHost, http: aiohttp.ClientSession) -> None:
    deep = base64.urlsafe_b64encode(b"[" * 5000).decode().rstrip("=")
    assert await _status(host, http, f"Bearer {deep}.e30.e30") == 401


async def test_says_why_a_token_is_refused_and_asks_for_a_missing_one(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    async with http.post(f"{host.http_api_url}/token") as response:
        assert response.headers["WWW-Authenticate"] == "Bearer"
    headers = {"Authorization": f"Bearer {issuer.token(exp=1)}"}
    async with http.post(f"{host.http_api_url}/token", headers=headers) as response:
        assert response.headers["WWW-Authenticate"].startswith(
            'Bearer scope="" error="invalid_token" error_description="'
        )


async def test_fetches_keys_once_even_for_unknown_key_ids(
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


async def test_asks_a_failing_issuer_no_more_often_than_others(
    http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    issuer.status = 500
    authorizer = _authorizer(http, issuer, seconds_between_fetches=3600)
    for _ in range(3):
        with pytest.raises(UnauthorizedError):
            await authorizer.claims(issuer.token())
    assert issuer.fetches == 1


async def test_fetches_keys_again_when_they_rotate(http: aiohttp.ClientSession, issuer: Issuer) -> None:
    authorizer = _authorizer(http, issuer, seconds_between_fetches=0)
    assert (await authorizer.claims(issuer.token()))["sub"] == "someone"
    issuer.published = ["third"]
    assert (await authorizer.claims(issuer.token(kid="third")))["sub"] == "someone"
    with pytest.raises(UnauthorizedError):
        await authorizer.claims(issuer.token(kid="gone", signed_with="third"))


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
@pytest.mark.parametrize("members", [{}, {"use": "sig"}, {"use": None, "alg": None}])
async def test_a_key_without_an_algorithm_verifies_every_rsa_algorithm(
    host: LambdaHost,
    http: aiohttp.ClientSession,
    issuer: Issuer,
    algorithm: str,
    members: dict[str, Any],
) -> None:
    issuer.key_set = {"keys": [issuer.jwk(**members)]}
    assert await _status(host, http, issuer.signed(issuer.claims(), algorithm=algorithm)) == 200


async def test_a_key_verifies_only_its_own_algorithm(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    issuer.key_set = {"keys": [issuer.jwk(alg="RS512")]}
    assert await _status(host, http, issuer.signed(issuer.claims(), algorithm="RS512")) == 200
    assert await _status(host, http, issuer.signed(issuer.claims(), algorithm="RS256")) == 401


@pytest.mark.parametrize("algorithm", ["PS256", "PS512"])
async def test_refuses_rsa_with_another_padding(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, algorithm: str
) -> None:
    assert await _status(host, http, issuer.signed(issuer.claims(), algorithm=algorithm)) == 401


def _elliptic(kid: str) -> dict[str, Any]:
    key = ec.derive_private_key(12345, ec.SECP256R1()).public_key()
    return {**jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True), "kid": kid, "use": "sig"}


async def test_each_of_several_keys_with_one_id_verifies(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    issuer.key_set = {
        "keys": [
            issuer.jwk("first", "second"),
            issuer.jwk("first", alg="RS256"),
            issuer.jwk("first", alg="RS384"),
            issuer.jwk("first", "third", use="enc"),
            _elliptic("first"),
        ]
    }
    for key, status in (("first", 200), ("second", 200), ("third", 401)):
        assert await _status(host, http, issuer.token(kid="first", signed_with=key)) == status
    assert await _status(host, http, issuer.signed(issuer.claims(), algorithm="RS384")) == 200


ODD_KEYS: list[Any] = [
    None,
    "key",
    [],
    {},
    {"kid": "first"},
    {"kid": "first", "kty": "RSA"},
    {"kid": "first", "kty": ["RSA"], "n": "AQAB", "e": "AQAB"},
    {"kid": "first", "kty": "oct", "k": "c2VjcmV0"},
    {"kid": "first", "kty": "RSA", "n": 5, "e": 3},
    {"kid": "first", "kty": "RSA", "n": "!", "e": "ü"},
    {"kid": "first", "kty": "RSA", "n": "", "e": ""},
    {"kid": "first", "kty": "RSA", "n": "AQAB", "e": "AA"},
    {"kid": "first", "kty": "RSA", "n": "_" * 4_000, "e": "AQAB"},
    {"kid": "first", "kty": "RSA", "n": "AQAB", "e": "AQAB", "use": ["sig"], "alg": {"RS256": 1}},
    _elliptic("first"),
]


@pytest.mark.parametrize("odd", ODD_KEYS)
async def test_ignores_a_key_that_it_cannot_use(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, odd: Any
) -> None:
    issuer.key_set = {"keys": [odd, issuer.jwk("second"), odd]}
    assert await _status(host, http, issuer.token(kid="first")) == 401
    assert await _status(host, http, issuer.token(kid="second")) == 200


@pytest.mark.parametrize("kid", [["first"], 5, None, {"first": 1}])
async def test_ignores_a_key_whose_id_is_not_text(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, kid: Any
) -> None:
    issuer.key_set = {"keys": [{**issuer.jwk("second"), "kid": kid}, issuer.jwk("first")]}
    assert await _status(host, http, issuer.token()) == 200


async def test_a_key_that_is_published_with_its_private_parts_verifies(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    private = jwt.algorithms.RSAAlgorithm.to_jwk(issuer.keys["first"], as_dict=True)
    issuer.key_set = {"keys": [{**private, "kid": "first"}]}
    assert await _status(host, http, issuer.token()) == 200


ODD_DOCUMENTS: dict[str, Any] = {
    "a list": [1],
    "text": "keys",
    "nothing in it": {},
    "keys that are no list": {"keys": {"first": {}}},
    "null keys": {"keys": None},
    "not JSON": web.Response(text="<html>"),
    "not Unicode": web.Response(body=b'{"keys": "\xff"}'),
    "no content": web.Response(body=b""),
    "too deep": web.Response(body=b"[" * 100_000),
    "huge": web.Response(body=b'{"keys": []' + b" " * 200_000 + b"}"),
    "an error": web.Response(status=500),
    "a redirect to itself": web.Response(status=302, headers={"Location": "/jwks.json"}),
}


@pytest.mark.parametrize("document", ODD_DOCUMENTS)
async def test_refuses_all_tokens_of_an_issuer_whose_keys_cannot_be_read(
    host: LambdaHost, http: aiohttp.ClientSession, issuer: Issuer, document: str
) -> None:
    issuer.key_set = _copy(ODD_DOCUMENTS[document])
    assert await _status(host, http, issuer.token()) == 401


def _copy(document: Any) -> Any:
    """Return a response that can be sent, as one is sent only once."""
    if not isinstance(document, web.Response):
        return document
    return web.Response(status=document.status, headers=document.headers, body=document.body)


async def test_refuses_all_tokens_of_an_issuer_that_is_silent(
    start_host: HostFactory,
    http: aiohttp.ClientSession,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("local.lambda_host.issuer_keys._SECONDS_TO_ANSWER", 0.1)
    silent = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    async with start_host(jwks_urls={ISSUER: f"http://127.0.0.1:{port}/"}) as host:
        assert await _status(host, http, issuer.token()) == 401
    silent.close()


def _template(issuer: str) -> Template:
    return Template.load(FOLDER / "template.yaml", {"Issuer": issuer})


@pytest.mark.parametrize("slash", ["", "/"])
async def test_finds_the_keys_of_an_issuer_by_its_discovery_document(
    start_host: HostFactory, http: aiohttp.ClientSession, issuer: Issuer, slash: str
) -> None:
    async with start_host(_template(issuer.url + slash), jwks_urls={}) as host:
        assert await _status(host, http, issuer.token(iss=issuer.url + slash)) == 200
        assert await _status(host, http, issuer.token()) == 401


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"jwks_uri": None},
        {"jwks_uri": ["http://127.0.0.1:1"]},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "not an address"},
        {"jwks_uri": "http://127.0.0.1:1/jwks.json"},
        "not JSON",
    ],
    ids=str,
)
async def test_refuses_all_tokens_of_an_issuer_whose_discovery_document_leads_nowhere(
    start_host: HostFactory, http: aiohttp.ClientSession, issuer: Issuer, document: Any
) -> None:
    issuer.discovery = web.Response(text="<html>") if document == "not JSON" else document
    async with start_host(_template(issuer.url), jwks_urls={}) as host:
        assert await _status(host, http, issuer.token(iss=issuer.url)) == 401


async def test_refuses_all_tokens_if_the_issuer_cannot_be_reached(
    start_host: HostFactory, http: aiohttp.ClientSession, issuer: Issuer
) -> None:
    async with start_host(jwks_urls={ISSUER: "http://127.0.0.1:1/jwks.json"}) as host:
        assert await _status(host, http, f"Bearer {issuer.token()}") == 401
