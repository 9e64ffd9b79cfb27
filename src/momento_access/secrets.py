"""Secrets, read from Secrets Manager and kept for a while."""

from __future__ import annotations

import time

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.config import Config
from botocore.exceptions import ClientError

from aws_session import aws_session

READ_TIMEOUT_SECONDS = 3
"""How long reading a secret takes at most: two attempts, and botocore's pause of up to a second between."""

SECONDS_BETWEEN_REREADS = 5
"""How long `reread_secret` waits before it reads a secret once more."""

# The webhook's caller waits 5 s in all: better to fail in time to say so.
_IN_TIME = Config(
    connect_timeout=0.3, read_timeout=0.7, retries={"mode": "standard", "total_max_attempts": 2}
)
_secrets = SecretsProvider(boto_config=_IN_TIME, boto3_session=aws_session)
_reread_at: dict[str, float] = {}


def read_secret(name: str) -> str:
    """The value of the secret with this name or ARN, kept for `POWERTOOLS_PARAMETERS_MAX_AGE` seconds.

    Raises Powertools' `GetParameterError` where it cannot be read.
    """
    return _text(name, _secrets.get(name))


def reread_secret(name: str) -> bool:
    """Has `read_secret` give the value as it is now, it may have been rotated; returns whether it was read.

    It is not where it was less than `SECONDS_BETWEEN_REREADS` ago, so that nobody can have it read all the
    time. Raises as `read_secret` does.
    """
    now = time.monotonic()
    if now - _reread_at.get(name, -SECONDS_BETWEEN_REREADS) < SECONDS_BETWEEN_REREADS:
        return False
    _reread_at[name] = now
    _secrets.get(name, force_fetch=True)
    return True


def read_previous_secret(name: str) -> str | None:
    """The value before the last rotation, None where there was none; it is not kept.

    Raises as `read_secret` does.
    """
    try:
        return _text(name, _secrets.get(name, max_age=0, force_fetch=True, VersionStage="AWSPREVIOUS"))
    except GetParameterError as error:
        cause = error.__context__
        if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == "ResourceNotFoundException":
            return None
        raise


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"secret {name} does not hold a string")
    return value
