"""Secrets, read from Secrets Manager and kept for a while."""

from __future__ import annotations

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from botocore.config import Config

MAX_AGE_SECONDS = 300

# The webhook's caller waits 5 s in all: better to fail in time to say so.
_IN_TIME = Config(connect_timeout=1, read_timeout=1.5, retries={"mode": "standard", "total_max_attempts": 2})
_secrets = SecretsProvider(boto_config=_IN_TIME)


def read_secret(name: str) -> str:
    """The current value of the secret with this name or ARN, at most `MAX_AGE_SECONDS` old.

    Raises Powertools' `GetParameterError` where it cannot be read.
    """
    value = _secrets.get(name, max_age=MAX_AGE_SECONDS)
    if not isinstance(value, str):
        raise TypeError(f"secret {name} does not hold a string")
    return value
