"""Which API keys and tokens are taken, and where Momento is called with them: as its SDK does."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import json
import traceback
import uuid
from types import ModuleType
from typing import TYPE_CHECKING, Any

import boto3
import jwt
import pytest
from momento import CredentialProvider
from momento.errors import InvalidArgumentException

from momento_access.settings import MomentoSettings

if TYPE_CHECKING:
    from momento_access import credentials as module

ENDPOINT = "cell-1.momento.example.com"


def encoded(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def signed(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "a key that only Momento itself knows", "HS256")


TOKENS = [encoded({"endpoint": ENDPOINT, "api_key": "x" * length}) for length in (1, 2, 3, 500)]
V2_KEYS = [signed({"t": "g", "id": "x" * length}) for length in range(4)]
NO_TOKENS = ["", "x", "ä", "===", "a.b.c", signed({"t": "x"}), *V2_KEYS]
NO_V2_KEYS = ["", "x", "ä", "a.b.c", "..", "a.b", signed({}), signed({"t": "s"}), *TOKENS]


def settings(api_key: str = "", endpoint: str = "") -> MomentoSettings:
    """Return settings with the API key in a secret. Secrets Manager accepts no empty secret."""
    name = f"key-{uuid.uuid4()}"
    if api_key:
        boto3.client("secretsmanager").create_secret(Name=name, SecretString=api_key)
    return MomentoSettings("cache", name, endpoint, local="")


@pytest.fixture(scope="module")
def access(environment: dict[str, str]) -> ModuleType:
    """Load the module, which needs a region."""
    return importlib.import_module("momento_access.credentials")


def fields(credentials: CredentialProvider | module.Credentials) -> list[object]:
    """Return what the functions need of our credentials and of the SDK's."""
    names = ("auth_token", "cache_endpoint", "token_endpoint", "port")
    return [getattr(credentials, name) for name in names]


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_contains_its_endpoints(access: ModuleType, token: str) -> None:
    expected = fields(CredentialProvider.from_disposable_token(token))
    assert fields(access.token_credentials(token, settings())) == expected


@pytest.mark.parametrize("api_key", TOKENS)
def test_a_v1_key_is_decoded_like_a_token(access: ModuleType, api_key: str) -> None:
    expected = fields(CredentialProvider.from_disposable_token(api_key))
    assert fields(access.api_key_credentials(settings(api_key))) == expected


@pytest.mark.parametrize("api_key", V2_KEYS)
def test_a_v2_key_uses_the_given_endpoint(access: ModuleType, api_key: str) -> None:
    expected = fields(CredentialProvider.from_api_key_v2(api_key, ENDPOINT))
    assert fields(access.api_key_credentials(settings(api_key, ENDPOINT))) == expected


@pytest.mark.parametrize("token", NO_TOKENS)
def test_text_that_is_not_a_token_is_refused(access: ModuleType, token: str) -> None:
    with pytest.raises(InvalidArgumentException):
        CredentialProvider.from_disposable_token(token)
    with pytest.raises(access.InvalidCredentialsError):
        access.token_credentials(token, settings())


@pytest.mark.parametrize("value", [5, [], {}, {"api_key": "x"}, {"endpoint": "x"}, None])
def test_a_token_of_another_form_is_refused(access: ModuleType, value: object) -> None:
    with pytest.raises(access.InvalidCredentialsError):
        access.token_credentials(encoded(value), settings())


@pytest.mark.parametrize("api_key", [key for key in NO_V2_KEYS if key])
def test_only_a_v2_key_is_accepted_together_with_an_endpoint(access: ModuleType, api_key: str) -> None:
    with pytest.raises(InvalidArgumentException):
        CredentialProvider.from_api_key_v2(api_key, ENDPOINT)
    given = settings(api_key, ENDPOINT)
    with pytest.raises(access.InvalidApiKeyError, match=given.api_key_secret):
        access.api_key_credentials(given)


@pytest.mark.parametrize("before", ["", "\ufeff", " ", "\n"])
@pytest.mark.parametrize("after", ["\n", "\r\n", " \t", "\u00a0", "\u3000", "\u2028", "\x85"])
def test_spaces_and_a_byte_order_mark_around_an_api_key_are_ignored(
    access: ModuleType, before: str, after: str
) -> None:
    credentials = access.api_key_credentials(settings(f"{before}{V2_KEYS[1]}{after}", ENDPOINT))
    assert credentials.auth_token == V2_KEYS[1]


@pytest.mark.parametrize("api_key", ["x\ny", "x y", "sch\u00f6n", "x\u200by", "", "x\x00y"], ids=repr)
def test_an_api_key_that_does_not_fit_a_header_is_refused_with_the_secrets_name(
    access: ModuleType, api_key: str
) -> None:
    given = settings(encoded({"endpoint": ENDPOINT, "api_key": api_key}))
    with pytest.raises(access.InvalidApiKeyError, match=given.api_key_secret) as refusal:
        access.api_key_credentials(given)
    assert not api_key or api_key not in str(refusal.value)


def test_an_api_key_of_any_characters_that_fit_a_header_is_taken(access: ModuleType) -> None:
    every_character = "".join(map(chr, range(ord("!"), ord("~") + 1)))
    given = settings(encoded({"endpoint": ENDPOINT, "api_key": every_character}))
    assert access.api_key_credentials(given).auth_token == every_character


def test_a_v1_key_with_a_foreign_character_inside_is_refused(access: ModuleType) -> None:
    given = settings(f"{TOKENS[3][:40]}\n{TOKENS[3][40:]}")
    with pytest.raises(access.InvalidApiKeyError, match=given.api_key_secret):
        access.api_key_credentials(given)


@pytest.mark.parametrize("endpoint", ["", "cell-1\n", "a b", "https://cell-1", "x:443", "\u00e4"], ids=repr)
def test_an_endpoint_that_is_not_a_host_is_refused_with_the_secrets_name(
    access: ModuleType, endpoint: str
) -> None:
    given = settings(encoded({"endpoint": endpoint, "api_key": "x"}))
    with pytest.raises(access.InvalidApiKeyError, match=given.api_key_secret):
        access.api_key_credentials(given)


def test_a_secret_that_is_nested_too_deeply_is_refused_with_its_name(access: ModuleType) -> None:
    given = settings(base64.b64encode(b"[" * 40_000).decode())
    with pytest.raises(access.InvalidApiKeyError, match=given.api_key_secret):
        access.api_key_credentials(given)


def test_a_binary_secret_is_refused_with_its_name(access: ModuleType) -> None:
    given = settings()
    boto3.client("secretsmanager").create_secret(Name=given.api_key_secret, SecretBinary=b"key")
    with pytest.raises(access.ApiKeyError, match=given.api_key_secret):
        access.api_key_credentials(given)


def test_a_corrected_secret_is_used_at_once(access: ModuleType) -> None:
    given = settings("no key", ENDPOINT)
    boto3.client("secretsmanager").put_secret_value(SecretId=given.api_key_secret, SecretString="no key yet")
    secrets = importlib.import_module("aws_access.secrets")
    assert secrets.read_secret(given.api_key_secret) == "no key yet"
    boto3.client("secretsmanager").put_secret_value(SecretId=given.api_key_secret, SecretString=V2_KEYS[1])
    assert access.api_key_credentials(given).auth_token == V2_KEYS[1]


def test_a_local_momento_is_called_if_one_is_configured(access: ModuleType) -> None:
    local = dataclasses.replace(settings(V2_KEYS[1], ENDPOINT), local="127.0.0.1:8080")
    assert access.api_key_credentials(local) == access.Credentials(V2_KEYS[1], "127.0.0.1", "127.0.0.1", 8080)


def test_neither_credentials_nor_errors_show_a_secret(access: ModuleType) -> None:
    assert "xxx" not in repr(access.token_credentials(TOKENS[3], settings()))
    secret = encoded({"endpoint": ENDPOINT, "key": "xxx"})
    with pytest.raises(access.InvalidCredentialsError) as refusal:
        access.token_credentials(secret, settings())
    assert secret not in str(refusal.value)


@pytest.mark.parametrize("endpoint", ["", ENDPOINT])
def test_the_traceback_of_an_error_shows_nothing_of_a_key(access: ModuleType, endpoint: str) -> None:
    """Decoding fails at a byte that Python's own error would show."""
    given = settings(base64.b64encode(b"\xfekey").decode(), endpoint)
    with pytest.raises(access.InvalidApiKeyError) as refusal:
        access.api_key_credentials(given)
    [*_, last] = shown = traceback.format_exception(refusal.value)
    assert given.api_key_secret in last
    assert len([line for line in shown if line.startswith("Traceback")]) == 1
    assert "0xfe" not in "".join(shown)


def test_the_traceback_of_a_token_that_cannot_be_decoded_shows_nothing_of_it(access: ModuleType) -> None:
    with pytest.raises(access.InvalidCredentialsError) as refusal:
        access.token_credentials(base64.b64encode(b"\xfekey").decode(), settings())
    assert "0xfe" not in "".join(traceback.format_exception(refusal.value))
