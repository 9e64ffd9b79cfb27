"""Clients of the local AWS services."""

from typing import Any

import boto3

from local.aws.credentials import LOCAL_CREDENTIALS, Credentials
from local.cloudformation.template import REGION


def aws_client(service: str, endpoint_url: str, credentials: Credentials = LOCAL_CREDENTIALS) -> Any:
    """Return a client of a service, such as `sqs`, with credentials that by default allow everything."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # Any service.
        endpoint_url=endpoint_url,
        region_name=REGION,
        aws_access_key_id=credentials.access_key_id,
        aws_secret_access_key=credentials.secret_access_key,
        aws_session_token=credentials.session_token,
    )
