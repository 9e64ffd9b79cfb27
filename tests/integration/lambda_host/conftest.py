"""A Lambda host with the functions of this folder, and an issuer of JWTs that it trusts."""

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import jwt
import pytest
from aiohttp import web
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa

from local.aws.credentials import Credentials
from local.cloudformation.template import Template
from local.lambda_host.host import LambdaHost
from local.serving.ports import HOST, listen, port_of

FOLDER = Path(__file__).parent
ISSUER = "https://issuer.test/pool"

HostFactory = Callable[..., AbstractAsyncContextManager[LambdaHost]]


async def assume_role(role_arn: str, session_name: str) -> Credentials:
    """Return credentials that say whose they are."""
    return Credentials(role_arn, session_name, "token")


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


@pytest.fixture(scope="session")
def rsa_keys() -> dict[str, rsa.RSAPrivateKey]:
    return {kid: rsa.generate_private_key(65537, 2048) for kid in ("first", "second", "third")}


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


@pytest.fixture
async def issuer(rsa_keys: dict[str, rsa.RSAPrivateKey]) -> AsyncIterator[Issuer]:
    async with serving(Issuer(rsa_keys)) as issuer:
        yield issuer


@pytest.fixture
def log_lines() -> list[tuple[str, str]]:
    """What functions have logged: (function, line)."""
    return []


@pytest.fixture
def start_host(issuer: Issuer, tmp_path: Path, log_lines: list[tuple[str, str]]) -> HostFactory:
    """Return what starts a host, with a template or this folder's, and with arguments of LambdaHost's."""

    @asynccontextmanager
    async def start(template: Template | None = None, **arguments: Any) -> AsyncIterator[LambdaHost]:
        settings: dict[str, Any] = {
            "environment": {"SOME_ENDPOINT": "127.0.0.1:1"},
            "aws_endpoint_url": "http://127.0.0.1:1",
            "assume_role": assume_role,
            "jwks_urls": {ISSUER: issuer.jwks_url},
            "log_folder": tmp_path / "logs",
            "on_log_line": lambda function, line: log_lines.append((function, line)),
            **arguments,
        }
        template = template or Template.load(FOLDER / "template.yaml", {"Issuer": ISSUER})
        async with LambdaHost(template, FOLDER, **settings) as host:
            yield host

    return start


@pytest.fixture
async def host(start_host: HostFactory) -> AsyncIterator[LambdaHost]:
    async with start_host() as host:
        yield host


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture(scope="session")
def boto3_session() -> boto3.Session:
    return boto3.Session(aws_access_key_id="local", aws_secret_access_key="local", region_name="us-east-1")


@pytest.fixture
def lambda_client(host: LambdaHost, boto3_session: boto3.Session) -> Any:
    """An unmodified client of the Lambda API; it blocks, so call it in a thread."""
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3_session.client("lambda", endpoint_url=host.invoke_url, config=config)
