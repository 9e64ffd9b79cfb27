"""boto3's clients of the AWS services that topics use."""

from __future__ import annotations

import functools
from typing import Any

from botocore.config import Config
from botocore.exceptions import ClientError

from aws_access.session import aws_session

# The webhook has 5 s in all for a message.
_CONFIG = Config(connect_timeout=0.5, read_timeout=1, retries={"mode": "legacy", "total_max_attempts": 2})


@functools.cache
def aws_client(service: str) -> Any:
    """Return the client of a service, such as `events`. Its calls fail after two attempts of a second."""
    client: Any = aws_session.client(service, config=_CONFIG)  # type: ignore[call-overload]
    return client


def error_code(error: Exception) -> str | None:
    """Return AWS's code for a call that it refused, such as `ThrottlingException`; None for other errors."""
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else None
