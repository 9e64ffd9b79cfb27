"""A Lambda host with the functions of this folder, and an issuer of JWTs that it trusts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import boto3
import pytest
from botocore.config import Config
from cryptography.hazmat.primitives.asymmetric import rsa

from local.cloudformation.template import Template
from local.lambda_host.host import LambdaHost
from tests.support.jwt_issuer import ISSUER, Issuer, serving
from tests.support.lambda_host import FOLDER, HostFactory, assume_role


@pytest.fixture(scope="session")
def rsa_keys() -> dict[str, rsa.RSAPrivateKey]:
    return {kid: rsa.generate_private_key(65537, 2048) for kid in ("first", "second", "third")}


@pytest.fixture
async def issuer(rsa_keys: dict[str, rsa.RSAPrivateKey]) -> AsyncIterator[Issuer]:
    async with serving(Issuer(rsa_keys)) as issuer:
        yield issuer


@pytest.fixture
def log_lines() -> list[tuple[str, str]]:
    """Return what functions have logged: (function, line)."""
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
    """Return an unmodified client of the Lambda API; it blocks, so call it in a thread."""
    config = Config(retries={"total_max_attempts": 1}, proxies={})
    return boto3_session.client("lambda", endpoint_url=host.invoke_url, config=config)
