"""What tests of the Lambda host start it with."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from local.aws.credentials import Credentials
from local.lambda_host.host import LambdaHost
from tests.support.project import ROOT

FOLDER = ROOT / "tests/local/lambda_host"
"""The folder with the templates and the functions that the host is tested with."""

HostFactory = Callable[..., AbstractAsyncContextManager[LambdaHost]]


async def assume_role(role_arn: str, session_name: str) -> Credentials:
    """Return credentials that name the role and the session."""
    return Credentials(role_arn, session_name, "token")
