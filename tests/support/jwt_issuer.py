"""An issuer of JWTs, which publishes its keys over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from local.serving.ports import HOST, listen, port_of

ISSUER = "https://issuer.test/pool"


class Issuer:
    """Issues JWTs signed with any of its keys, and publishes some of them at `jwks_url`.

    `key_set` is published instead, if it is set, and `discovery` is its discovery document.
    """

    def __init__(self, keys: dict[str, rsa.RSAPrivateKey]) -> None:
        self.keys = keys
        self.published = ["first", "second"]
        self.status = 200
        self.url = ""
        self.jwks_url = ""
        self.fetches = 0
        self.key_set: web.Response | Any = None
        self.discovery: web.Response | Any = None

    def token(self, *, kid: str = "first", signed_with: str | None = None, **claims: Any) -> str:
        """Return a valid token, with other `claims` if there are any; a claim of None is left out."""
        all_claims = {**self.claims(), **claims}
        return self.signed(
            {name: value for name, value in all_claims.items() if value is not None},
            kid=kid,
            signed_with=signed_with,
        )

    def claims(self) -> dict[str, Any]:
        """Return the claims of a valid token."""
        now = int(time.time())
        return {"iss": ISSUER, "aud": "app", "sub": "someone", "iat": now, "exp": now + 300}

    def signed(
        self, claims: Any, *, kid: str = "first", signed_with: str | None = None, algorithm: str = "RS256"
    ) -> str:
        """Return a token with exactly these claims, whatever they are."""
        key = self.keys[signed_with or kid]
        # PyJWT's own `encode` refuses claims of wrong types.
        return jwt.PyJWS().encode(json.dumps(claims).encode(), key, algorithm, headers={"kid": kid})

    def jwk(self, kid: str = "first", key: str | None = None, **members: Any) -> dict[str, Any]:
        """Return the public half of a key as it is published under an id."""
        public_key = self.keys[key or kid].public_key()
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(public_key, as_dict=True), "kid": kid, **members}

    async def jwks(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        if self.key_set is not None:
            return _response(self.key_set)
        keys = [self.jwk(kid, use="sig") for kid in self.published]
        return web.json_response({"keys": keys}, status=self.status)

    async def openid_configuration(self, _request: web.Request) -> web.Response:
        return _response(self.discovery)


def _response(document: Any) -> web.Response:
    return document if isinstance(document, web.Response) else web.json_response(document)


@asynccontextmanager
async def serving(issuer: Issuer) -> AsyncIterator[Issuer]:
    """Serve the issuer's documents on this machine."""
    app = web.Application()
    app.router.add_get("/jwks.json", issuer.jwks)
    app.router.add_get("/.well-known/openid-configuration", issuer.openid_configuration)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    sock = listen(0)
    await web.SockSite(runner, sock).start()
    issuer.url = f"http://{HOST}:{port_of(sock)}"
    issuer.jwks_url = f"{issuer.url}/jwks.json"
    issuer.discovery = {"issuer": issuer.url, "jwks_uri": issuer.jwks_url}
    yield issuer
    await runner.cleanup()
