"""Secrets, read from Secrets Manager and kept for a while."""

from __future__ import annotations

import time

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_access.session import aws_session

READ_TIMEOUT_SECONDS = 3
"""How long reading a secret takes at most: two attempts, and botocore's pause of up to a second between."""

SECONDS_BETWEEN_REREADS = 5
"""The least time between two reads of the same secret by `reread_secret`."""

# The webhook's caller waits 5 s in all, so a read must fail while there is time left to say so.
_CONFIG = Config(connect_timeout=0.3, read_timeout=0.7, retries={"mode": "standard", "total_max_attempts": 2})
_BYTE_ORDER_MARK = "\ufeff"
_secrets = SecretsProvider(boto_config=_CONFIG, boto3_session=aws_session)
_reread_at: dict[str, float] = {}


class SecretError(Exception):
    """A secret cannot be read. The message names it."""


class NoTextError(SecretError):
    """A secret is empty or holds bytes. Somebody has to mend it."""


def read_secret(name: str) -> str:
    """Return the value of the secret with this name or ARN, without blanks or a byte-order mark around it.

    It is kept for `POWERTOOLS_PARAMETERS_MAX_AGE` seconds. If what is kept is no text, read the secret again,
    so that a mended one is taken within seconds. Raise `SecretError`, or `NoTextError`.
    """
    text = _kept_text(name)
    if not text and reread_secret(name):
        text = _kept_text(name)
    if not text:
        raise NoTextError(f"the secret {name} holds no text; store it as a string, not as binary")
    return text


def reread_secret(name: str) -> bool:
    """Read the secret again, for `read_secret` to return, because it may have been changed.

    Return False if that was done less than `SECONDS_BETWEEN_REREADS` ago, so that forged requests cannot
    flood Secrets Manager. Raise `SecretError`.
    """
    now = time.time()  # The monotonic clock may not count the time that a function is frozen.
    if abs(now - _reread_at.get(name, 0)) < SECONDS_BETWEEN_REREADS:
        return False
    _reread_at[name] = now
    try:
        _secrets.get(name, force_fetch=True)
    except GetParameterError as error:
        raise SecretError(f"the secret {name} cannot be read: {error}") from error
    return True


def read_previous_secret(name: str) -> str | None:
    """Return the value before the last rotation, or None if there was none or it was no text. It is not kept.

    Raise `SecretError`.
    """
    try:
        value = _secrets.get(name, max_age=0, force_fetch=True, VersionStage="AWSPREVIOUS")
    except GetParameterError as error:
        cause = error.__context__
        if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise SecretError(f"the previous version of the secret {name} cannot be read: {error}") from error
    return _text(value) or None


def _kept_text(name: str) -> str:
    try:
        return _text(_secrets.get(name))
    except GetParameterError as error:
        raise SecretError(f"the secret {name} cannot be read: {error}") from error


def _text(value: object) -> str:
    """Return a secret's text, which is empty if it holds bytes."""
    return value.strip().strip(_BYTE_ORDER_MARK).strip() if isinstance(value, str) else ""
