"""Secrets, read from Secrets Manager and kept for a while."""

from __future__ import annotations

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from botocore.config import Config

READ_TIMEOUT_SECONDS = 4
"""How long reading a secret takes at most: two attempts, and botocore's pause of up to a second between."""

# The webhook's caller waits 5 s in all: better to fail in time to say so.
_IN_TIME = Config(connect_timeout=0.4, read_timeout=1, retries={"mode": "standard", "total_max_attempts": 2})
_secrets = SecretsProvider(boto_config=_IN_TIME)


def read_secret(name: str) -> str:
    """The value of the secret with this name or ARN, kept for `POWERTOOLS_PARAMETERS_MAX_AGE` seconds.

    Raises Powertools' `GetParameterError` where it cannot be read.
    """
    value = _secrets.get(name)
    if not isinstance(value, str):
        raise TypeError(f"secret {name} does not hold a string")
    return value
